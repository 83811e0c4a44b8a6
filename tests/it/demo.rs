//! The demo as a person runs it: the built binary, alone.

use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{soon, within};

/// Far longer than any demo here goes on, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Killed when it is dropped.
fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
    command.arg("demo").args(arguments).env_clear();
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn finish(arguments: &[&str]) -> Output {
    let what = format!("the end of demo {arguments:?}");
    within(LIMIT, &what, demo(arguments).output())
        .await
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_demo_goes_through_a_rollout_without_a_failed_request_and_with_exact_shares() {
    let output = finish(&["--for", "5s", "--rate", "200", "--plain"]).await;
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
    assert!(shares.iter().all(|share| *share > 20), "{text}");
}

#[tokio::test]
async fn an_interrupt_ends_the_demo_with_what_it_has_found_so_far() {
    let mut child = demo(&["--for", "60s", "--plain"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = soon("its first line", lines.next_line()).await;
    let first = first.unwrap().unwrap();
    assert!(first.contains("3 pods, 500 requests/s"), "{first}");
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let mut last = first;
    while let Some(line) = soon("its next line or its end", lines.next_line())
        .await
        .unwrap()
    {
        last = line;
    }
    assert!(last.ends_with("failed requests: 0"), "{last}");
    assert!(soon("its end", child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_story_too_short_to_be_told_is_refused() {
    let output = finish(&["--for", "1s"]).await;
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--for") && error.contains("3s"), "{error}");
}
