use socket2::SockRef;
use tempfile::NamedTempFile;
use tower::Service;

use super::*;

fn kubeconfig(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn access(file: &NamedTempFile, context: Option<&str>) -> KubeAccess {
    KubeAccess {
        kubeconfig: Some(file.path().to_owned()),
        context: context.map(str::to_owned),
        ..KubeAccess::default()
    }
}

async fn refused(access: &KubeAccess) -> String {
    KubeClient::connect(access, Tuning::default())
        .await
        .unwrap_err()
        .to_string()
}

const TWO_CONTEXTS: &str = "
apiVersion: v1
kind: Config
clusters:
- {name: one, cluster: {server: 'http://127.0.0.1:1'}}
users: []
contexts:
- {name: blue, context: {cluster: one, user: '', namespace: shop}}
- {name: green, context: {cluster: one, user: ''}}
";

#[tokio::test]
async fn a_context_brings_its_namespace_and_server() {
    let file = kubeconfig(TWO_CONTEXTS);
    let client = KubeClient::connect(&access(&file, Some("blue")), Tuning::default())
        .await
        .unwrap();
    assert_eq!(client.namespace(), "shop");
    assert_eq!(client.server(), "http://127.0.0.1:1");
}

#[tokio::test]
async fn an_unknown_context_lists_those_there_are() {
    let file = kubeconfig(TWO_CONTEXTS);
    let error = refused(&access(&file, Some("red"))).await;
    assert!(error.starts_with("--context red: "), "{error}");
    assert!(error.ends_with("blue, green"), "{error}");
}

#[tokio::test]
async fn no_current_context_names_the_flag() {
    let file = kubeconfig(TWO_CONTEXTS);
    let error = refused(&access(&file, None)).await;
    assert!(error.contains("give --context NAME"), "{error}");
}

#[tokio::test]
async fn a_context_alone_asks_for_the_kubeconfig() {
    let access = KubeAccess {
        kubeconfig: None,
        context: Some("blue".to_owned()),
        ..KubeAccess::default()
    };
    assert!(refused(&access).await.contains("give --kubeconfig FILE"));
}

#[tokio::test]
async fn an_unreadable_kubeconfig_is_one_line_that_names_flag_and_file() {
    let missing = KubeAccess {
        kubeconfig: Some("/nonexistent/config".into()),
        context: None,
        ..KubeAccess::default()
    };
    let error = refused(&missing).await;
    assert!(
        error.starts_with("--kubeconfig /nonexistent/config: cannot read it: No such file"),
        "{error}"
    );
    let file = kubeconfig("clusters: {\n  what");
    let error = refused(&access(&file, None)).await;
    assert!(error.starts_with("--kubeconfig "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test]
async fn a_proxy_in_the_kubeconfig_is_refused_instead_of_passed_over() {
    let file = kubeconfig(&TWO_CONTEXTS.replace(
        "server: 'http://127.0.0.1:1'",
        "server: 'http://127.0.0.1:1', proxy-url: 'http://127.0.0.1:2'",
    ));
    let error = refused(&access(&file, Some("blue"))).await;
    assert!(error.contains("proxy-url"), "{error}");
}

#[test]
fn outside_a_pod_the_flags_are_named() {
    let error = InClusterError::ReadEnvironmentVariable(std::env::VarError::NotPresent);
    let line = in_pod_error(&error).to_string();
    assert!(
        line.contains("--kubeconfig FILE") && line.contains("--endpoint"),
        "{line}"
    );
}

#[test]
fn a_pod_without_a_token_is_told_where_to_mount_one() {
    let error = InClusterError::ReadDefaultNamespace(std::io::ErrorKind::NotFound.into());
    let line = in_pod_error(&error).to_string();
    assert!(line.contains("mount one at /var/run/secrets"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[tokio::test]
async fn what_a_credential_plugin_says_is_not_told() {
    let file = kubeconfig(
        &TWO_CONTEXTS
            .replace(
                "users: []",
                "users: [{name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, \
                 command: sh, args: ['-c', 'echo s3cret; exit 3'], interactiveMode: Never}}}]",
            )
            .replace("user: ''", "user: plugin"),
    );
    let error = refused(&access(&file, Some("blue"))).await;
    assert!(error.contains("failed with exit status: 3"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_servers_name_has_no_user_and_no_path() {
    let name = |url: &'static str| server_name(&http::Uri::from_static(url));
    assert_eq!(
        name("https://me:s3cret@api.example:6443/x?y"),
        "https://api.example:6443"
    );
    assert_eq!(name("https://[fd00::1]/"), "https://[fd00::1]");
}

#[tokio::test]
async fn connections_are_watched_over_by_the_kernel() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let stream = tcp_connector()
        .call(uri.parse().unwrap())
        .await
        .unwrap()
        .into_inner();
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
    assert!(socket.tcp_nodelay().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
}

#[test]
fn text_from_elsewhere_becomes_one_line() {
    assert_eq!(one_line(" a\n\n b\tc\u{7} "), "a b c");
    assert_eq!(one_line(""), "");
}
