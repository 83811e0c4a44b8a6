//! `podrobin inject` and `uninject` as whoever runs them meets them, and that a sidecar starts with what they wrote.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::soon;

/// Runs the program on `input`, to its end.
async fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_podrobin"))
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async {
        // It may end without reading, where its flags are wrong.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let (output, ()) = soon("the end", async {
        tokio::join!(child.wait_with_output(), write)
    })
    .await;
    output.unwrap()
}

/// What it writes, when all is well; without a word on standard error.
async fn written(args: &[&str], input: &str) -> String {
    let output = run(args, input).await;
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {words}");
    assert!(
        words.is_empty() || words.starts_with("podrobin: note: "),
        "{words}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that nothing was written but lines that begin with the program's name; gives them.
fn refused(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty());
    assert!(
        text.lines().all(|line| line.starts_with("podrobin: ")),
        "{text}"
    );
    text
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// Documents as what they mean, with nothing and none the same.
fn meaning(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_multiple_with_options(text, options).unwrap()
}

/// Each `NAME.in.yaml` (or `.json`) becomes `NAME.out.yaml`; that stays as it is, and leads back.
/// To write them anew: PODROBIN_WRITE_GOLDENS=1 cargo test --test it -- inject, and read the difference.
#[tokio::test]
async fn goldens_are_met_stay_and_lead_back() {
    let mut seen = 0;
    for entry in std::fs::read_dir(goldens()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((name, ending)) = name.split_once(".in.") else {
            continue;
        };
        seen += 1;
        let input = std::fs::read_to_string(&path).unwrap();
        let out = path.with_file_name(format!("{name}.out.{ending}"));
        let found = written(&["inject"], &input).await;
        if std::env::var_os("PODROBIN_WRITE_GOLDENS").is_some() {
            std::fs::write(&out, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&out).unwrap();
        assert!(found == expected, "{name}: {found}");
        let again = written(&["inject"], &expected).await;
        assert!(again == expected, "{name}, again: {again}");
        let back = written(&["uninject"], &expected).await;
        assert_eq!(meaning(&back), meaning(&input), "{name}");
        if name == "untouched" {
            assert_eq!(found, input);
        }
    }
    assert!(seen >= 8, "only {seen} goldens");
}

#[tokio::test]
async fn files_and_standard_input_are_read_in_turn() {
    let deployment = goldens().join("deployment.in.yaml").display().to_string();
    let one = std::fs::read_to_string(goldens().join("deployment.out.yaml")).unwrap();
    let text = written(&["inject", &deployment, "-"], "kind: ConfigMap").await;
    assert_eq!(text, format!("{one}---\nkind: ConfigMap"));
}

#[tokio::test]
async fn a_refusal_names_file_document_and_object_and_nothing_is_written() {
    let good = std::fs::read_to_string(goldens().join("deployment.in.yaml")).unwrap();
    let bad = good.replace(
        "podrobin.io/service: cart:http",
        "podrobin.io/service: Cart",
    );
    let output = run(&["inject"], &format!("{good}---\n{bad}---\n{bad}")).await;
    let text = refused(&output, 1);
    assert_eq!(text.lines().count(), 2, "{text}");
    for word in [
        "standard input, document 2, Deployment shop/client: ",
        "[NAMESPACE/]NAME[:PORT]",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").display().to_string();
    assert!(refused(&run(&["inject", &missing], "").await, 1).contains(&missing));
    let binary = folder.path().join("binary");
    std::fs::write(&binary, b"\xff").unwrap();
    let binary = binary.display().to_string();
    assert!(refused(&run(&["inject", &binary], "").await, 1).contains("UTF-8"));
    assert!(refused(&run(&["uninject"], "a: [").await, 1).contains("document 1"));
    let zero = refused(&run(&["inject", "/dev/zero"], "").await, 1);
    assert!(zero.contains("32 MiB"), "{zero}");
}

#[tokio::test]
async fn what_goes_past_the_sidecar_is_told_and_written_all_the_same() {
    let good = std::fs::read_to_string(goldens().join("capture.in.yaml")).unwrap();
    let app = "image: registry.example/app:1";
    let args = format!("{app}\n          args: [\"--cart=cart.shop.svc.cluster.local.:80\"]");
    let dotted = good.replace(app, &args);
    assert_ne!(dotted, good);
    let output = run(&["inject"], &format!("{good}---\n{dotted}")).await;
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "podrobin: warning: standard input, document 2, StatefulSet shop/client: container app has \
         cart.shop.svc.cluster.local. in its args: leave the dot at its end away, or use PODROBIN_CART_URL, as with it \
         most resolvers ask DNS and go past the sidecar\n"
    );
    let written = String::from_utf8(output.stdout).unwrap();
    assert_eq!(meaning(&written).len(), 2);
    let again = run(&["inject"], &written).await;
    assert_eq!(again.stdout, written.as_bytes());
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .contains(": warning: ")
    );
    let back = run(&["uninject"], &written).await;
    assert!(back.status.success() && back.stderr.is_empty());
}

#[tokio::test]
async fn where_no_pod_asks_a_note_says_how() {
    for (command, word) in [("inject", "podrobin.io/service"), ("uninject", "no pod")] {
        let output = run(&[command], "kind: ConfigMap\n").await;
        assert!(output.status.success());
        assert_eq!(output.stdout, b"kind: ConfigMap\n");
        let note = String::from_utf8(output.stderr).unwrap();
        assert!(
            note.starts_with("podrobin: note: ") && note.contains(word),
            "{note}"
        );
    }
}

#[tokio::test]
async fn flags_are_the_installation_and_what_pods_do_not_say() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: app}]}\n";
    let args = [
        "inject",
        "--service=cart:8080",
        "--capture",
        "--namespace=shop",
        "--policy=random",
        "--image=registry.example/podrobin:1",
        "--image-pull-policy=Never",
        "--memory-limit=64Mi",
        "--extra-env=PODROBIN_LOG_FORMAT=json",
        "--cluster-domain=corp.example",
    ];
    let pod = meaning(&written(&args, pod).await).remove(0);
    assert_eq!(
        pod["metadata"]["annotations"]["podrobin.io/capture"],
        "true"
    );
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["image"], "registry.example/podrobin:1");
    assert_eq!(sidecar["imagePullPolicy"], "Never");
    assert_eq!(sidecar["resources"]["limits"]["memory"], "64Mi");
    let env = sidecar["env"].to_string();
    for word in ["127.0.1.1:8080=cart:8080", "random", "PODROBIN_LOG_FORMAT"] {
        assert!(env.contains(word), "{env}");
    }
    assert_eq!(
        pod["spec"]["hostAliases"][0]["hostnames"][3],
        "cart.shop.svc.corp.example"
    );
    let output = run(&["inject", "--memory-limit=lots"], "").await;
    assert!(refused(&output, 2).contains("--memory-limit"));
}

#[tokio::test]
async fn await_ends_when_the_sidecar_is_ready() {
    use crate::support::{Pod, Sidecar};
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let admin = sidecar.admin.to_string();
    written(&["await", "--admin", &admin], "").await;
    let answer = sidecar.admin("/readyz?wait=10s").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(sidecar.admin("/readyz?wait=soon").await.status(), 400);
}

#[tokio::test]
async fn await_gives_up_in_time_and_says_why() {
    use crate::support::{Cluster, Sidecar};
    // A listener that never answers, and a sidecar that has no list.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let output = run(&["await", "--admin", &silent, "--timeout", "50ms"], "").await;
    let text = refused(&output, 1);
    assert!(
        text.contains(&silent) && text.contains("no answer"),
        "{text}"
    );
    let cluster = Cluster::behind(podrobin::demo::api::Api::new(), |listener| async move {
        let _never_accepted = listener;
        std::future::pending::<()>().await;
    })
    .await;
    let sidecar = Sidecar::of_services(&cluster, "shop/cart:http")
        .start_unready()
        .await;
    let admin = sidecar.admin.to_string();
    let output = run(&["await", "--admin", &admin, "--timeout", "300ms"], "").await;
    let text = refused(&output, 1);
    assert!(text.contains("shop/cart:http"), "{text}");
}

#[tokio::test]
async fn sleep_sleeps() {
    let begun = std::time::Instant::now();
    written(&["sleep", "200ms"], "").await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200));
    refused(&run(&["sleep", "long"], "").await, 2);
}

/// A port on a captured Service's address that nobody has just now.
fn free_port(address: &str) -> u16 {
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_sidecar_with_an_injected_environment_serves_captured_services_at_their_own_ports() {
    use crate::support::{Client, Cluster, Pod, Sidecar, slices};
    let cluster = Cluster::start().await;
    let names = ["cart", "pay"];
    let addresses = ["127.0.1.1", "127.0.1.2"];
    let ports = addresses.map(free_port);
    let pods = [Pod::start("cart-1").await, Pod::start("pay-1").await];
    for ((name, port), pod) in names.iter().zip(ports).zip(&pods) {
        let service = serde_json::json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"ports": [{"name": "http", "port": port}]},
        });
        let service = serde_json::from_value(service).unwrap();
        cluster.api.apply_service(&service).unwrap();
        cluster.add(slices::Entry::of_service(pod, name));
    }

    let mut asking = serde_json::json!({
        "metadata": {"namespace": "shop", "annotations": {
            "podrobin.io/service": format!("cart:{},pay:{}", ports[0], ports[1]),
            "podrobin.io/capture": "true",
        }},
        "spec": {"containers": [{"name": "app"}]},
    });
    podrobin::inject::inject_pod(&mut asking, None, &Default::default()).unwrap();
    let env = asking["spec"]["initContainers"][0]["env"]
        .as_array()
        .unwrap();
    let mut plan = Sidecar::of_services(&cluster, "").with_variable("PODROBIN_NAMESPACE", "shop");
    for variable in env {
        if let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) {
            plan = plan.with_variable(name, value);
        }
    }
    let _sidecar = plan.start().await;
    for ((address, port), pod) in addresses.iter().zip(ports).zip(["cart-1", "pay-1"]) {
        let mut client = Client::connect(format!("{address}:{port}").parse().unwrap()).await;
        assert_eq!(client.get("/").await.pod(), pod);
    }
}
