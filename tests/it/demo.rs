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

/// Runs of a comparison: promises are of times too, which a machine that stands still breaks.
const RUNS: usize = 3;

/// What a comparison found, once all was as promised: its rows by their flags, each with the notes below it.
async fn compared(scene: &str) -> Vec<(String, String)> {
    let mut arguments = vec!["--scene", scene, "--for", "8s"];
    // These take as many as are usual there: to be three times too many, and to tell what one of a hundred waits.
    if !["overload", "pausing"].contains(&scene) {
        arguments.extend(["--rate", "300"]);
    }
    let mut output = finish(&arguments).await;
    for _ in 1..RUNS {
        if output.status.success() {
            break;
        }
        output = finish(&arguments).await;
    }
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!text.contains("NOT AS PROMISED"), "{text}");
    let mut rows: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with("--") {
            let (flags, figures) = line.split_at(30);
            rows.push((flags.trim().to_owned(), figures.to_owned()));
        } else if let (Some((_, row)), true) = (rows.last_mut(), line.starts_with("    ")) {
            row.push('\n');
            row.push_str(line);
        }
    }
    rows
}

/// The first column: a share in percent, or answers a second.
fn measure(row: &str) -> f64 {
    let share = row.split_whitespace().next().unwrap();
    share.trim_end_matches("/s").parse().unwrap()
}

fn flags(rows: &[(String, String)]) -> Vec<&str> {
    rows.iter().map(|(flags, _)| flags.as_str()).collect()
}

#[tokio::test]
async fn a_slow_pod_gets_its_turn_in_rotation_and_less_under_policies_that_see_it() {
    let rows = compared("slow").await;
    let policies = ["round-robin", "random", "least-request", "peak-ewma"];
    assert_eq!(
        flags(&rows),
        policies.map(|policy| format!("--policy {policy}"))
    );
    let shares: Vec<f64> = rows.iter().map(|(_, row)| measure(row)).collect();
    assert!((9.0..=11.0).contains(&shares[0]), "{rows:?}");
    assert!(shares[2] < 7.5 && shares[3] < 7.5, "{rows:?}");
    assert!(rows[0].1.contains("as promised: each pod got as many"));
}

#[tokio::test]
async fn a_failing_pod_costs_requests_until_another_is_asked_or_it_is_left_out() {
    let rows = compared("failing").await;
    let [unasked, .., retried, in_a_row, outlier] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert!(!unasked.1.contains(" 0 of "), "{rows:?}");
    assert!(retried.0.starts_with("--retry-on"), "{rows:?}");
    assert!(retried.1.contains(" 0 of "), "{rows:?}");
    assert!(
        in_a_row.1.contains("in a row, the last: answered 503"),
        "{rows:?}"
    );
    assert!(outlier.1.contains("s ejected: 100 %"), "{rows:?}");
}

#[tokio::test]
async fn a_hanging_pod_is_left_out_with_the_sidecars_own_reason() {
    let rows = compared("hanging").await;
    let said = |flags: &str, what: &str| {
        let row = rows.iter().find(|(given, _)| given.starts_with(flags));
        assert!(row.unwrap().1.contains(what), "{flags}: {rows:?}");
    };
    // Found out by clients that gave up, or by what waits there: whichever is sooner.
    said("--policy round-robin", "while other pods answer");
    said("--per-try-timeout", "the last: per-try timeout");
    said("--per-try-timeout", " 0 of ");
    // Requests that hang may tell before the checks do.
    said("--health-check", "as promised: it was left out");
}

#[tokio::test]
async fn new_pods_that_are_cold_get_little_under_slow_start_and_an_even_share_without() {
    let rows = compared("cold").await;
    let [at_once, slowly, least_request, peak_ewma] = &rows[..] else {
        panic!("{rows:?}");
    };
    // Two of twelve pods.
    assert!((16.0..=17.4).contains(&measure(&at_once.1)), "{rows:?}");
    assert!(at_once.1.contains("as promised: each pod got as many"));
    assert_eq!(slowly.0, "--slow-start 10s");
    for row in [slowly, least_request, peak_ewma] {
        assert!(measure(&row.1) < 12.5, "{rows:?}");
    }
}

#[tokio::test]
async fn where_pods_pause_in_turn_a_second_request_to_another_pod_is_what_helps() {
    let rows = compared("pausing").await;
    let [round_robin, least_request, peak_ewma, hedged, learnt] = &rows[..] else {
        panic!("{rows:?}");
    };
    for row in [round_robin, least_request, peak_ewma] {
        // But for what the machine lets stand still for so long that it is taken back.
        assert!(measure(&row.1) < 1.0, "{rows:?}");
    }
    assert_eq!([&*hedged.0, &*learnt.0], ["--hedge 60ms", "--hedge p90"]);
    // Of ten pods one pauses for five eighths of the time, and a fifth of all requests is what may be sent twice.
    assert!((1.0..=21.0).contains(&measure(&hedged.1)), "{rows:?}");
    assert!(hedged.1.contains("as promised: 99 of 100"), "{rows:?}");
}

#[tokio::test]
async fn three_times_too_much_is_answered_in_time_only_within_limits() {
    let rows = compared("overload").await;
    let limits = ["3", "adaptive"].map(|limit| format!("--max-pod-requests {limit}"));
    assert_eq!(flags(&rows)[1..], limits);
    let [unlimited, limited, adaptive] = [0, 1, 2].map(|row| measure(&rows[row].1));
    assert!(unlimited * 2.0 < limited, "{rows:?}");
    assert!(unlimited * 2.0 < adaptive, "{rows:?}");
}

/// The last line of a demo that is interrupted after its first, which begins so.
async fn interrupted(arguments: &[&str], beginning: &str) -> String {
    let mut child = demo(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = soon("its first line", lines.next_line()).await;
    let first = first.unwrap().unwrap();
    assert!(first.contains(beginning), "{first}");
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let mut last = first;
    while let Some(line) = soon("its next line or its end", lines.next_line())
        .await
        .unwrap()
    {
        last = line;
    }
    assert!(soon("its end", child.wait()).await.unwrap().success());
    last
}

#[tokio::test]
async fn an_interrupt_ends_the_demo_with_what_it_has_found_so_far() {
    let story = ["--for", "60s", "--plain"];
    let last = interrupted(&story, "3 pods, 500 requests/s").await;
    assert!(last.ends_with("failed requests: 0"), "{last}");
    let comparison = ["--for", "60s", "--scene", "slow"];
    let last = interrupted(&comparison, "10 pods, 500 requests/s").await;
    assert!(last.ends_with("promises kept: 0 of 0"), "{last}");
}

#[tokio::test]
async fn a_comparison_too_short_or_of_too_few_pods_or_too_many_requests_is_refused() {
    for (given, mend) in [
        (
            ["--scene", "slow", "--for", "5s"],
            "--for 5s: give at least 8s",
        ),
        (
            ["--scene", "failing", "--pods", "5"],
            "--pods 5: give at least 6",
        ),
        (
            ["--scene", "overload", "--rate", "500"],
            "--rate 500: give at most 200",
        ),
    ] {
        let output = finish(&given).await;
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(mend), "{error}");
    }
}

#[tokio::test]
async fn a_story_too_short_to_be_told_is_refused() {
    let output = finish(&["--for", "1s"]).await;
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--for") && error.contains("3s"), "{error}");
}
