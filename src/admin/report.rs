//! The text of `/readyz`: a line that answers, and a line for each target.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::TargetView;
use crate::snapshot::{Member, Snapshot};

/// `pending` are the gates still closed.
pub fn readiness(pending: &[String], targets: &[TargetView], now: SystemTime) -> String {
    let mut text = answer(pending);
    for target in targets {
        let snapshot = target.snapshots.borrow().clone();
        let status = target.status.borrow().clone();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{}: {} for {}, {}",
            target.name,
            status.phase.as_str(),
            age(status.since, now),
            endpoints(&snapshot)
        );
        if let Some(fresh) = status.fresh {
            let _ = write!(text, ", list confirmed {} ago", age(fresh, now));
        }
        if let Some(error) = &status.error {
            let _ = write!(text, "; last error: {error}");
        }
        text.push('\n');
    }
    text
}

/// The line that answers.
pub fn answer(pending: &[String]) -> String {
    if pending.is_empty() {
        "ok\n".to_owned()
    } else {
        format!("not ready, waiting for: {}\n", pending.join(", "))
    }
}

fn endpoints(snapshot: &Snapshot) -> String {
    if snapshot.version == 0 {
        return "no list yet".to_owned();
    }
    let used = snapshot
        .members
        .iter()
        .filter(|member| Member::gets_traffic(member))
        .count();
    format!("{used} of {} endpoints in use", snapshot.members.len())
}

/// Whole seconds. A clock that was set back makes no age.
fn age(since: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(since).unwrap_or(Duration::ZERO);
    format!("{}s", age.as_secs())
}
