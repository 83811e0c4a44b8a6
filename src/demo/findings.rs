//! What came of a setting while a pod was in trouble, and whether it is what podrobin promises. Pure.

use std::time::Duration;

use super::times::Times;

/// Requests that an even share must have for anything to be told from a smaller one.
const ENOUGH: u64 = 30;

/// What has to come of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Every pod got the same, the one in trouble too.
    ExactShares,
    /// The pod in trouble got clearly less than an even share: less than three quarters of it.
    LessThanEven,
    /// The sidecar has found out and left the pod out.
    LeftOut,
    /// No request failed.
    NoFailure,
}

/// What was seen from the moment when the trouble began.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub pods: u64,
    /// Requests that reached pods, those that were sent again as often as they were sent.
    pub attempts: u64,
    /// Of these, the ones at the pod in trouble.
    pub troubled: u64,
    /// No pod had more than one request more than another.
    pub exact: bool,
    /// Requests that clients sent, and those of them that failed.
    pub requests: u64,
    pub failed: u64,
    pub times: Times,
    pub left_out: Option<LeftOut>,
}

/// The sidecar sent the pod nothing more, for a while at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Since the trouble began.
    pub after: Duration,
    /// As the sidecar's `/state` has them.
    pub state: String,
    pub reason: String,
}

impl Promise {
    /// Whether it was kept; nothing where there were too few requests to tell.
    pub fn kept(self, findings: &Findings) -> Option<bool> {
        let Findings {
            attempts,
            pods,
            troubled,
            ..
        } = findings;
        let enough = *attempts >= ENOUGH * pods;
        match self {
            Self::ExactShares => Some(findings.exact),
            Self::LessThanEven => enough.then(|| troubled * pods * 4 < attempts * 3),
            // A sidecar too learns from requests, in most settings.
            Self::LeftOut if findings.left_out.is_none() => enough.then_some(false),
            Self::LeftOut => Some(true),
            Self::NoFailure => Some(findings.failed == 0),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::ExactShares => "each pod got as many as the others, the one in trouble too",
            Self::LessThanEven => "it got clearly less than an even share",
            Self::LeftOut => "it was left out",
            Self::NoFailure => "no request failed",
        }
    }
}

/// The columns of [`row`].
pub fn head() -> String {
    columns(
        "",
        ["ITS SHARE", "P50", "P95", "P99", "FAILED"].map(str::to_owned),
    )
}

/// One line of the table.
pub fn row(flags: &str, findings: &Findings) -> String {
    let share = (findings.troubled * 1000)
        .checked_div(findings.attempts)
        .unwrap_or(0);
    let within = |percent| format!("{} ms", findings.times.percentile(percent).as_millis());
    columns(
        flags,
        [
            format!("{}.{} %", share / 10, share % 10),
            within(50),
            within(95),
            within(99),
            format!("{} of {}", findings.failed, findings.requests),
        ],
    )
}

fn columns(first: &str, [share, p50, p95, p99, failed]: [String; 5]) -> String {
    format!("{first:<30} {share:>9} {p50:>8} {p95:>8} {p99:>8} {failed:>12}")
}

/// What is said below a row.
pub fn notes(pace: &str, promises: &[Promise], findings: &Findings) -> Vec<String> {
    let mut notes = Vec::new();
    if !pace.is_empty() {
        notes.push(format!("with {pace}"));
    }
    if let Some(left_out) = &findings.left_out {
        let LeftOut {
            after,
            state,
            reason,
        } = left_out;
        let after = after.as_secs_f64();
        notes.push(format!("after {after:.1} s {state}: {reason}"));
    }
    for promise in promises {
        let kept = match promise.kept(findings) {
            Some(true) => "as promised",
            Some(false) => "NOT AS PROMISED, which is",
            None => "too few requests to tell whether, as promised",
        };
        notes.push(format!("{kept}: {}", promise.told()));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(attempts: u64, troubled: u64) -> Findings {
        Findings {
            pods: 10,
            attempts,
            troubled,
            requests: attempts,
            ..Findings::default()
        }
    }

    #[test]
    fn less_than_even_is_less_than_three_quarters_of_it_where_there_is_enough_to_tell() {
        let kept = |attempts, troubled| Promise::LessThanEven.kept(&findings(attempts, troubled));
        assert_eq!(kept(1000, 74), Some(true));
        assert_eq!(kept(1000, 75), Some(false));
        assert_eq!(kept(1000, 0), Some(true));
        assert_eq!(kept(299, 0), None);
        assert_eq!(kept(0, 0), None);
    }

    #[test]
    fn a_failure_an_uneven_share_or_a_pod_that_stays_breaks_its_promise() {
        let mut seen = findings(1000, 100);
        assert_eq!(Promise::NoFailure.kept(&seen), Some(true));
        assert_eq!(Promise::ExactShares.kept(&seen), Some(false));
        assert_eq!(Promise::LeftOut.kept(&seen), Some(false));
        assert_eq!(Promise::LeftOut.kept(&findings(299, 1)), None);
        seen.failed = 1;
        seen.exact = true;
        seen.left_out = Some(LeftOut {
            after: Duration::from_millis(430),
            state: "ejected".to_owned(),
            reason: "5 resets".to_owned(),
        });
        assert_eq!(Promise::NoFailure.kept(&seen), Some(false));
        assert_eq!(Promise::ExactShares.kept(&seen), Some(true));
        assert_eq!(Promise::LeftOut.kept(&seen), Some(true));
    }

    #[test]
    fn a_row_stands_under_its_head_and_says_why_below() {
        let mut seen = findings(1000, 31);
        seen.failed = 7;
        seen.times.note(Duration::from_millis(21));
        seen.left_out = Some(LeftOut {
            after: Duration::from_millis(430),
            state: "ejected".to_owned(),
            reason: "5 resets".to_owned(),
        });
        assert_eq!(
            format!("{}\n{}", head(), row("--policy least-request", &seen)),
            "                               ITS SHARE      P50      P95      P99       FAILED\n\
             --policy least-request             3.1 %    21 ms    21 ms    21 ms    7 of 1000"
        );
        assert_eq!(
            notes("--x 1", &[Promise::LessThanEven, Promise::NoFailure], &seen),
            [
                "with --x 1",
                "after 0.4 s ejected: 5 resets",
                "as promised: it got clearly less than an even share",
                "NOT AS PROMISED, which is: no request failed",
            ]
        );
    }
}
