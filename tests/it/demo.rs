//! The demo as a person runs it: the built binary, alone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
    command.arg("demo").args(arguments).env_clear();
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_demo_goes_through_a_rollout_without_a_failed_request_and_with_exact_shares() {
    let output = demo(&["--for", "5s", "--plain"]).output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let summary = text.lines().last().unwrap();
    assert!(
        summary.contains("rolling updates: 1 (5 pods replaced)"),
        "{summary}"
    );
    assert!(summary.contains("exact shares: 6 of 6"), "{summary}");
    assert!(summary.ends_with("failed requests: 0"), "{summary}");
    assert!(!text.contains('\x1b'), "escape codes in plain output");

    let steady = text
        .lines()
        .find_map(|line| line.split_once("requests, exact: "))
        .unwrap();
    let shares: Vec<u64> = steady
        .1
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(shares.len(), 3, "{text}");
    assert!(shares.iter().all(|share| *share > 50), "{text}");
}

#[test]
fn an_interrupt_ends_the_demo_with_what_it_has_found_so_far() {
    let mut child: Child = demo(&["--for", "60s", "--plain"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("3 pods, 500 requests/s"), "{first}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let last = lines.last().unwrap().unwrap();
    assert!(last.ends_with("failed requests: 0"), "{last}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_story_too_short_to_be_told_is_refused() {
    let output = demo(&["--for", "1s"]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--for") && error.contains("3s"), "{error}");
}
