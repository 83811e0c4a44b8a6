//! The command line, the environment and the log, as whoever starts the program meets them.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::support::{Client, soon};

/// The program in an environment that holds nothing but `variables`; killed when it is dropped.
fn podrobin(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
    command
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs it to its end, which must come by itself.
async fn finish(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let what = format!("the end of {args:?}");
    soon(&what, podrobin(args, variables).output())
        .await
        .unwrap()
}

/// Asserts that it ended with `code` and one line on standard error; gives the line.
fn one_line(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(text.starts_with("podrobin: "), "{text}");
    assert!(output.stdout.is_empty());
    text
}

/// A program that runs, killed when it is dropped.
struct Running {
    _child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

/// Enough to start without a cluster, on ports of its own.
const ALONE: [&str; 7] = [
    "run",
    "--endpoint",
    "127.0.0.1:9",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
];

/// The same without a source, and with no line but the last.
const ALONE_BUT_FOR_A_SOURCE: [&str; 7] = [
    "run",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--log-level",
    "off",
];

impl Running {
    fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = podrobin(args, variables)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { _child: child, log }
    }

    /// Lines of the log up to the one in which `found` finds something.
    async fn log_until<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> (Vec<String>, T) {
        let mut lines = Vec::new();
        loop {
            let what = format!("a line after {lines:#?}");
            let line = soon(&what, self.log.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the log ended: {lines:#?}"));
            let result = found(&line);
            lines.push(line);
            if let Some(result) = result {
                return (lines, result);
            }
        }
    }
}

/// The admin address, from a JSON line.
fn admin_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let listening = line["message"] == "listening" && line["listener"] == "admin";
    listening.then(|| line["address"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn without_arguments_it_explains_itself() {
    let output = finish(&[], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("Usage: podrobin <COMMAND>"), "{text}");
    assert!(text.contains("run "), "{text}");
    assert!(text.contains("demo "), "{text}");
}

#[tokio::test]
async fn help_is_on_standard_output_and_groups_its_flags() {
    let output = finish(&["run", "--help"], &[]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for heading in [
        "Endpoints:",
        "Listeners:",
        "Timeouts:",
        "Limits:",
        "Retries:",
        "Kubernetes:",
        "Logs:",
    ] {
        assert!(text.lines().any(|line| line == heading), "{heading}");
    }
}

#[tokio::test]
async fn usage_mistakes_are_one_line_and_exit_code_2() {
    let cases: [(&[&str], &str); 9] = [
        (&["run"], "--service"),
        (&["run", "--servce", "shop/cart"], "--service"),
        (&["run", "--service", "Cart"], "[NAMESPACE/]NAME[:PORT]"),
        (
            &["run", "--service", "a/b", "--endpoint", "10.0.0.1:80"],
            "two sources",
        ),
        (
            &["run", "--service", "a/b", "--listen", "localhost:1"],
            "--listen",
        ),
        (&["run", "--service", "a/b", "--hold", "ten"], "--hold"),
        (
            &["run", "--service", "a/b", "--context", "x"],
            "--kubeconfig",
        ),
        (
            &["run", "--service", "a/b", "--log-level", "loud"],
            "--log-level",
        ),
        (&["walk"], "podrobin run"),
    ];
    for (args, word) in cases {
        let line = one_line(&finish(args, &[]).await, 2);
        assert!(line.contains(word), "{args:?}: {line}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_environment_names_its_variable() {
    let line = one_line(&finish(&["run"], &[("PODROBIN_LISTEN", "here")]).await, 2);
    assert!(line.contains("PODROBIN_LISTEN"), "{line}");
    let services = [("PODROBIN_SERVICE", "shop/cart:http,shop/pay:http")];
    let line = one_line(&finish(&["run"], &services).await, 2);
    for word in ["PODROBIN_SERVICE", "shop/cart:http", "shop/pay:http"] {
        assert!(line.contains(word), "{line}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = [
        "run",
        "--endpoint",
        "127.0.0.1:9",
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "off",
        "--admin",
        &address,
    ];
    let line = one_line(&finish(&args, &[]).await, 1);
    assert!(line.contains("--admin"), "{line}");
    assert!(line.contains(&address), "{line}");
}

#[tokio::test]
async fn a_source_that_cannot_be_used_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").display().to_string();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "{").unwrap();
    let broken = broken.display().to_string();
    let folder = folder.path().display().to_string();
    let service = ["--service", "shop/cart:http"];
    let kubeconfig = |path| [&service[..], &["--kubeconfig", path]].concat();
    let slices = |path| vec!["--endpoint-slices", path];
    let api = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "1"),
    ];
    // What the line must name: the flag with its value, what is wrong, and where that is not enough, the mend.
    for (source, variables, words) in [
        (
            kubeconfig(&missing),
            &[][..],
            ["--kubeconfig", &missing, "No such file"],
        ),
        (
            kubeconfig(&folder),
            &[],
            ["--kubeconfig", &folder, "Is a directory"],
        ),
        (
            kubeconfig(&broken),
            &[],
            ["--kubeconfig", &broken, "line 1"],
        ),
        (
            service.to_vec(),
            &[],
            [
                "not in a pod",
                "KUBERNETES_SERVICE_HOST",
                "give --kubeconfig FILE",
            ],
        ),
        (
            service.to_vec(),
            &api,
            [
                "no service account",
                "automountServiceAccountToken",
                "give --kubeconfig FILE",
            ],
        ),
        (
            slices(&missing),
            &[],
            ["--endpoint-slices", &missing, "No such file"],
        ),
        (
            slices(&folder),
            &[],
            ["--endpoint-slices", &folder, "not a regular file"],
        ),
        (
            slices(&broken),
            &[],
            ["--endpoint-slices", &broken, "neither YAML nor JSON"],
        ),
    ] {
        let args = [&ALONE_BUT_FOR_A_SOURCE[..], &source].concat();
        let line = one_line(&finish(&args, variables).await, 1);
        for word in words {
            assert!(line.contains(word), "{source:?}: {line}");
        }
    }
}

#[tokio::test]
async fn a_flag_wins_over_its_variable_and_that_over_the_default() {
    // Text by default.
    let mut running = Running::start(&ALONE, &[]);
    running
        .log_until(|line| line.contains("listening").then_some(()))
        .await;
    // JSON by the environment.
    let json = [("PODROBIN_LOG_FORMAT", "json")];
    let mut running = Running::start(&ALONE, &json);
    running.log_until(admin_address).await;
    // JSON by the flag, though the environment says text.
    let text = [("PODROBIN_LOG_FORMAT", "text")];
    let args = [&ALONE[..], &["--log-format", "json"]].concat();
    let mut running = Running::start(&args, &text);
    running.log_until(admin_address).await;
}

#[tokio::test]
async fn settings_may_all_come_from_the_environment() {
    let variables = [
        ("PODROBIN_ENDPOINT", "127.0.0.1:9,127.0.0.1:10"),
        ("PODROBIN_LISTEN", "127.0.0.1:0"),
        ("PODROBIN_ADMIN", "127.0.0.1:0"),
        ("PODROBIN_LOG_FORMAT", "json"),
        // The Downward API gives an empty value for a label that is not there.
        ("PODROBIN_ZONE", ""),
        ("PODROBIN_WORKERS", ""),
    ];
    let mut running = Running::start(&["run"], &variables);
    let (_, address) = running.log_until(admin_address).await;
    let mut client = Client::connect(address.parse().unwrap()).await;
    assert_eq!(client.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn a_variable_that_no_flag_knows_is_mentioned_without_its_value() {
    let variables = [
        ("PODROBIN_SERVCIE", "hunter2"),
        ("PODROBIN_SERVICE_HOST", "10.96.0.7"),
        ("PODROBIN_PORT", "tcp://10.96.0.7:8000"),
        ("PODROBIN_LOG_FORMAT", "json"),
    ];
    let mut running = Running::start(&ALONE, &variables);
    let (lines, _) = running.log_until(admin_address).await;
    let warnings: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["level"] == "WARN")
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0]["variable"], "PODROBIN_SERVCIE");
    assert!(!lines.concat().contains("hunter2"));
}

#[tokio::test]
async fn each_json_line_has_a_time_a_level_and_a_message() {
    let args = [&ALONE[..], &["--log-format", "json"]].concat();
    let mut running = Running::start(&args, &[]);
    let (lines, _) = running.log_until(admin_address).await;
    for line in lines {
        let line: Value = serde_json::from_str(&line).unwrap();
        let text = |field: &str| line[field].as_str().map(str::to_owned).unwrap_or_default();
        let time: Result<jiff::Timestamp, _> = text("timestamp").parse();
        assert!(time.is_ok(), "{line}");
        assert_eq!(text("level"), "INFO", "{line}");
        assert!(!text("message").is_empty(), "{line}");
    }
}
