//! What a sidecar does about pods in trouble, beside its policy.

use std::time::Duration;

use podrobin::config::{Ejection, Hedge, Outliers, RetryOn, RetrySettings, SlowStart};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// Membership hears of no failure, and nothing is sent again.
    Nothing,
    /// What is on by default: a pod that is silent, while the others answer, is ejected, and what waits there is taken back.
    Usual,
    /// Failed answers count like failed connections, pods are compared with each other, and new and returning ones begin
    /// slowly.
    All,
    /// As is usual; and what failed goes to another pod, and what takes long to a second one.
    Again,
}

impl Guards {
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Usual, Self::All, Self::Again];

    pub fn ejection(self) -> Ejection {
        let usual = Ejection::default();
        Ejection {
            consecutive: usual.consecutive.filter(|_| self != Self::Nothing),
            ..usual
        }
    }

    pub fn outliers(self) -> Option<Outliers> {
        (self == Self::All).then(|| Outliers {
            success_rate: Some(1.9),
            failure_percentage: Some(10.0),
            latency: Some(3.0),
            interval: Duration::from_secs(2),
            min_requests: 20,
            ..Outliers::default()
        })
    }

    pub fn slow_start(self) -> Option<SlowStart> {
        (self == Self::All).then(|| SlowStart {
            window: Duration::from_secs(5),
            ..SlowStart::default()
        })
    }

    /// What is sent again, and what of it can be paid for.
    pub fn retry(self) -> RetrySettings {
        let usual = RetrySettings::default();
        match self {
            Self::Nothing => RetrySettings {
                retries: 0,
                ..usual
            },
            Self::Usual | Self::All => usual,
            Self::Again => RetrySettings {
                on: "connect-failure,reset,5xx"
                    .parse::<RetryOn>()
                    .unwrap_or_default(),
                hedge: "p95".parse::<Hedge>().ok(),
                ..usual
            },
        }
    }
}
