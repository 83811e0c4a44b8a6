//! What came of a setting while pods were in trouble, and whether it is what podrobin promises. Pure.

use std::time::Duration;

use super::settings::Setting;
use super::times::Times;

/// Requests that an even share must have for anything to be told from a smaller one.
const ENOUGH: u64 = 30;

/// What has to come of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Every pod got the same, those in trouble too.
    ExactShares,
    /// The pods in trouble got clearly less than an even share: less than three quarters of it.
    LessThanEven,
    /// The sidecar has found out and left the pod out.
    LeftOut,
    /// No request failed.
    NoFailure,
    /// So many of a hundred requests were over in less than half the time that it took under the first setting.
    HalfAsLong(usize),
    /// At least half of what the pods can answer was answered in time.
    Goodput,
}

/// What the first column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// What the pod in trouble got of all.
    ItsShare,
    /// What the new pods got of all.
    NewPodsShare,
    /// Attempts beyond one for each request.
    SentTwice,
    /// Answers a second that came in time.
    Goodput,
}

/// What was seen from the moment when the trouble began.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub pods: u64,
    /// Requests that reached pods, those that were sent again as often as they were sent.
    pub attempts: u64,
    /// Pods in trouble, and of the attempts those at them.
    pub troubled_pods: u64,
    pub troubled: u64,
    /// No pod had more than one request more than another.
    pub exact: bool,
    /// Requests that clients sent, and those of them that failed.
    pub requests: u64,
    pub failed: u64,
    pub times: Times,
    /// For how long was looked.
    pub lasted: Duration,
    /// Requests a second that the pods can answer, where that is the matter.
    pub capacity: Option<u32>,
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
    /// Whether it was kept, where under the first setting was found what `first` has; nothing where there were too few
    /// requests to tell.
    pub fn kept(self, findings: &Findings, first: &Findings) -> Option<bool> {
        let Findings {
            attempts,
            pods,
            troubled,
            troubled_pods,
            ..
        } = findings;
        let enough = *attempts >= ENOUGH * pods;
        match self {
            Self::ExactShares => Some(findings.exact),
            Self::LessThanEven => {
                enough.then(|| troubled * pods * 4 < attempts * troubled_pods * 3)
            }
            // A sidecar too learns from requests, in most settings.
            Self::LeftOut if findings.left_out.is_none() => enough.then_some(false),
            Self::LeftOut => Some(true),
            Self::NoFailure => Some(findings.failed == 0),
            Self::HalfAsLong(percent) => {
                let time = |findings: &Findings| findings.times.percentile(percent);
                let both = enough && first.requests >= ENOUGH * first.pods;
                both.then(|| time(findings) * 2 < time(first))
            }
            Self::Goodput => {
                let can_do = f64::from(findings.capacity?) * findings.lasted.as_secs_f64();
                let answered = findings.answered() as f64;
                (can_do >= ENOUGH as f64).then_some(answered * 2.0 >= can_do)
            }
        }
    }

    fn told(self, measure: Measure) -> String {
        let several = measure == Measure::NewPodsShare;
        match self {
            Self::ExactShares => match measure {
                Measure::ItsShare => "each pod got as many as the others, the one in trouble too",
                Measure::NewPodsShare => "each pod got as many as the others, the new ones too",
                _ => "each pod got as many as the others",
            }
            .to_owned(),
            Self::LessThanEven if several => "they got clearly less than an even share".to_owned(),
            Self::LessThanEven => "it got clearly less than an even share".to_owned(),
            Self::LeftOut => "it was left out".to_owned(),
            Self::NoFailure => "no request failed".to_owned(),
            Self::HalfAsLong(percent) => {
                format!(
                    "{percent} of 100 were over in less than half the time of the first setting"
                )
            }
            Self::Goodput => {
                "at least half of what the pods can do was answered in time".to_owned()
            }
        }
    }
}

impl Measure {
    fn heading(self) -> &'static str {
        match self {
            Self::ItsShare => "ITS SHARE",
            Self::NewPodsShare => "NEW PODS",
            Self::SentTwice => "TWICE",
            Self::Goodput => "GOODPUT",
        }
    }

    fn of(self, findings: &Findings) -> String {
        let share = |part: u64, all: u64| {
            let per_mille = (part * 1000).checked_div(all).unwrap_or(0);
            format!("{}.{} %", per_mille / 10, per_mille % 10)
        };
        match self {
            Self::ItsShare | Self::NewPodsShare => share(findings.troubled, findings.attempts),
            Self::SentTwice => {
                let twice = findings.attempts.saturating_sub(findings.requests);
                share(twice, findings.requests)
            }
            Self::Goodput => {
                let seconds = findings.lasted.as_secs_f64().max(f64::MIN_POSITIVE);
                format!("{:.0}/s", findings.answered() as f64 / seconds)
            }
        }
    }
}

impl Findings {
    fn answered(&self) -> u64 {
        self.requests.saturating_sub(self.failed)
    }
}

/// The columns of [`row`].
pub fn head(measure: Measure) -> String {
    columns(
        "",
        [measure.heading(), "P50", "P95", "P99", "FAILED"].map(str::to_owned),
    )
}

/// One line of the table.
pub fn row(flags: &str, measure: Measure, findings: &Findings) -> String {
    let within = |percent| format!("{} ms", findings.times.percentile(percent).as_millis());
    columns(
        flags,
        [
            measure.of(findings),
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

/// What is said below a row, where under the first setting was found what `first` has.
pub fn notes(
    setting: &Setting,
    measure: Measure,
    findings: &Findings,
    first: &Findings,
) -> Vec<String> {
    let mut notes = Vec::new();
    if !setting.pace.is_empty() {
        notes.push(format!("with {}", setting.pace));
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
    for promise in setting.promises {
        let kept = match promise.kept(findings, first) {
            Some(true) => "as promised",
            Some(false) => "NOT AS PROMISED, which is",
            None => "too few requests to tell whether, as promised",
        };
        notes.push(format!("{kept}: {}", promise.told(measure)));
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
            troubled_pods: 1,
            troubled,
            requests: attempts,
            ..Findings::default()
        }
    }

    #[test]
    fn less_than_even_is_less_than_three_quarters_of_it_where_there_is_enough_to_tell() {
        let kept = |attempts, troubled| {
            let seen = findings(attempts, troubled);
            Promise::LessThanEven.kept(&seen, &seen)
        };
        assert_eq!(kept(1000, 74), Some(true));
        assert_eq!(kept(1000, 75), Some(false));
        assert_eq!(kept(1000, 0), Some(true));
        assert_eq!(kept(299, 0), None);
        assert_eq!(kept(0, 0), None);
        let mut two = findings(1000, 149);
        two.troubled_pods = 2;
        assert_eq!(Promise::LessThanEven.kept(&two, &two), Some(true));
        two.troubled = 150;
        assert_eq!(Promise::LessThanEven.kept(&two, &two), Some(false));
    }

    #[test]
    fn half_as_long_is_less_than_half_of_what_it_took_under_the_first_setting() {
        let taking = |millis, requests| {
            let mut seen = findings(requests, 0);
            seen.times.note(Duration::from_millis(millis));
            seen
        };
        let kept = |seen: &Findings, first: &Findings| Promise::HalfAsLong(99).kept(seen, first);
        let first = taking(200, 300);
        assert_eq!(kept(&taking(99, 300), &first), Some(true));
        assert_eq!(kept(&taking(100, 300), &first), Some(false));
        assert_eq!(kept(&taking(99, 299), &first), None);
        assert_eq!(kept(&taking(99, 300), &taking(200, 299)), None);
    }

    #[test]
    fn half_of_what_pods_can_do_has_to_be_answered_where_they_can_do_enough_to_tell() {
        let kept = |requests, failed, capacity, seconds| {
            let mut seen = findings(requests, 0);
            seen.failed = failed;
            seen.capacity = capacity;
            seen.lasted = Duration::from_secs(seconds);
            Promise::Goodput.kept(&seen, &seen)
        };
        assert_eq!(kept(400, 340, Some(60), 2), Some(true));
        assert_eq!(kept(400, 341, Some(60), 2), Some(false));
        assert_eq!(kept(400, 400, Some(15), 2), Some(false));
        assert_eq!(kept(400, 400, Some(14), 2), None);
        assert_eq!(kept(400, 0, None, 2), None);
    }

    #[test]
    fn a_failure_an_uneven_share_or_a_pod_that_stays_breaks_its_promise() {
        let mut seen = findings(1000, 100);
        let kept = |promise: Promise, seen: &Findings| promise.kept(seen, seen);
        assert_eq!(kept(Promise::NoFailure, &seen), Some(true));
        assert_eq!(kept(Promise::ExactShares, &seen), Some(false));
        assert_eq!(kept(Promise::LeftOut, &seen), Some(false));
        assert_eq!(kept(Promise::LeftOut, &findings(299, 1)), None);
        seen.failed = 1;
        seen.exact = true;
        seen.left_out = Some(LeftOut {
            after: Duration::from_millis(430),
            state: "ejected".to_owned(),
            reason: "5 resets".to_owned(),
        });
        assert_eq!(kept(Promise::NoFailure, &seen), Some(false));
        assert_eq!(kept(Promise::ExactShares, &seen), Some(true));
        assert_eq!(kept(Promise::LeftOut, &seen), Some(true));
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
            format!(
                "{}\n{}",
                head(Measure::ItsShare),
                row("--policy least-request", Measure::ItsShare, &seen)
            ),
            "                               ITS SHARE      P50      P95      P99       FAILED\n\
             --policy least-request             3.1 %    21 ms    21 ms    21 ms    7 of 1000"
        );
        let setting = Setting {
            flags: "",
            pace: "--x 1",
            promises: &[Promise::LessThanEven, Promise::NoFailure],
        };
        assert_eq!(
            notes(&setting, Measure::ItsShare, &seen, &seen),
            [
                "with --x 1",
                "after 0.4 s ejected: 5 resets",
                "as promised: it got clearly less than an even share",
                "NOT AS PROMISED, which is: no request failed",
            ]
        );
    }

    #[test]
    fn the_first_column_has_what_the_trouble_is_measured_by() {
        let mut seen = findings(1050, 42);
        seen.requests = 1000;
        seen.failed = 400;
        seen.lasted = Duration::from_secs(5);
        for (measure, heading, value) in [
            (Measure::ItsShare, "ITS SHARE", "4.0 %"),
            (Measure::NewPodsShare, "NEW PODS", "4.0 %"),
            (Measure::SentTwice, "TWICE", "5.0 %"),
            (Measure::Goodput, "GOODPUT", "120/s"),
        ] {
            assert_eq!(
                (measure.heading(), measure.of(&seen).as_str()),
                (heading, value)
            );
        }
        // Fewer attempts than requests, as where pods are full.
        seen.attempts = 900;
        assert_eq!(Measure::SentTwice.of(&seen), "0.0 %");
    }
}
