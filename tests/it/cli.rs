//! The command line, the environment and the log, as whoever starts the program meets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

/// The program in an environment that holds nothing but `variables`.
fn podrobin(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
    command
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

fn finish(args: &[&str], variables: &[(&str, &str)]) -> Output {
    podrobin(args, variables).output().expect("a program")
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

/// A program that runs, ended when dropped.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
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

impl Running {
    fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = podrobin(args, variables)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Lines of the log up to the one in which `found` finds something.
    fn log_until<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> (Vec<String>, T) {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.log.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the log ended: {lines:#?}");
            let result = found(&line);
            lines.push(line);
            if let Some(result) = result {
                return (lines, result);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The admin address, from a JSON line.
fn admin_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let listening = line["message"] == "listening" && line["listener"] == "admin";
    listening.then(|| line["address"].as_str().unwrap().to_owned())
}

#[test]
fn without_arguments_it_explains_itself() {
    let output = finish(&[], &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("Usage: podrobin <COMMAND>"), "{text}");
    assert!(text.contains("run "), "{text}");
    assert!(text.contains("demo "), "{text}");
}

#[test]
fn help_is_on_standard_output_and_groups_its_flags() {
    let output = finish(&["run", "--help"], &[]);
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

#[test]
fn usage_mistakes_are_one_line_and_exit_code_2() {
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
        let line = one_line(&finish(args, &[]), 2);
        assert!(line.contains(word), "{args:?}: {line}");
    }
}

#[test]
fn a_mistake_in_the_environment_names_its_variable() {
    let line = one_line(&finish(&["run"], &[("PODROBIN_LISTEN", "here")]), 2);
    assert!(line.contains("PODROBIN_LISTEN"), "{line}");
    let services = [("PODROBIN_SERVICE", "shop/cart:http,shop/pay:http")];
    let line = one_line(&finish(&["run"], &services), 2);
    for word in ["PODROBIN_SERVICE", "shop/cart:http", "shop/pay:http"] {
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn an_address_in_use_is_one_line_and_exit_code_1() {
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
    let line = one_line(&finish(&args, &[]), 1);
    assert!(line.contains("--admin"), "{line}");
    assert!(line.contains(&address), "{line}");
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_default() {
    // Text by default.
    let mut running = Running::start(&ALONE, &[]);
    running.log_until(|line| line.contains("listening").then_some(()));
    // JSON by the environment.
    let json = [("PODROBIN_LOG_FORMAT", "json")];
    let mut running = Running::start(&ALONE, &json);
    running.log_until(admin_address);
    // JSON by the flag, though the environment says text.
    let text = [("PODROBIN_LOG_FORMAT", "text")];
    let args = [&ALONE[..], &["--log-format", "json"]].concat();
    let mut running = Running::start(&args, &text);
    running.log_until(admin_address);
}

#[test]
fn settings_may_all_come_from_the_environment() {
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
    let (_, address) = running.log_until(admin_address);
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn a_variable_that_no_flag_knows_is_mentioned_without_its_value() {
    let variables = [
        ("PODROBIN_SERVCIE", "hunter2"),
        ("PODROBIN_SERVICE_HOST", "10.96.0.7"),
        ("PODROBIN_PORT", "tcp://10.96.0.7:8000"),
        ("PODROBIN_LOG_FORMAT", "json"),
    ];
    let mut running = Running::start(&ALONE, &variables);
    let (lines, _) = running.log_until(admin_address);
    let warnings: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["level"] == "WARN")
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0]["variable"], "PODROBIN_SERVCIE");
    assert!(!lines.concat().contains("hunter2"));
}

#[test]
fn each_json_line_has_a_time_a_level_and_a_message() {
    let args = [&ALONE[..], &["--log-format", "json"]].concat();
    let mut running = Running::start(&args, &[]);
    let (lines, _) = running.log_until(admin_address);
    for line in lines {
        let line: Value = serde_json::from_str(&line).unwrap();
        let text = |field: &str| line[field].as_str().map(str::to_owned).unwrap_or_default();
        let time: Result<jiff::Timestamp, _> = text("timestamp").parse();
        assert!(time.is_ok(), "{line}");
        assert_eq!(text("level"), "INFO", "{line}");
        assert!(!text("message").is_empty(), "{line}");
    }
}
