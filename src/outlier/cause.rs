//! Why a pod was ejected.

use std::fmt;
use std::time::Duration;

use super::{Outcome, Said};
use crate::error::{Flag, Kind};

/// Why an endpoint was ejected: what the last of its failures was, or by what it stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Failed(Kind),
    Said(Said),
    Silent,
    /// It has so many requests in hand and answers none, while other pods answer.
    Unanswered {
        waiting: u64,
    },
    /// Of its requests in an interval far fewer succeeded than of all pods' on average, both in percent.
    SuccessRate {
        rate: u64,
        mean: u64,
    },
    /// So many percent of its requests in an interval failed.
    Failures {
        percent: u64,
    },
    /// Its successes in an interval took longer than those of the median pod.
    Latency {
        micros: u64,
        median: u64,
    },
}

/// What ejected a pod, in one word for `/state`, metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// In a row; so are the next three, by what the last of the row was.
    Failures,
    Status,
    Grpc,
    Silence,
    SuccessRate,
    FailurePercentage,
    Latency,
}

impl Cause {
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed(kind) => Self::Failed(kind),
            Outcome::Said(said) => Self::Said(said),
            Outcome::GaveUp { .. } | Outcome::Answered => Self::Silent,
        }
    }

    /// The pod cannot even be connected to.
    pub(super) fn is_unreachable(self) -> bool {
        matches!(
            self,
            Self::Failed(Kind::ConnectFailed | Kind::ConnectTimeout)
        )
    }

    pub fn rule(self) -> Rule {
        match self {
            Self::Failed(_) => Rule::Failures,
            Self::Said(Said::Status(_)) => Rule::Status,
            Self::Said(Said::Code(_)) => Rule::Grpc,
            Self::Silent | Self::Unanswered { .. } => Rule::Silence,
            Self::SuccessRate { .. } => Rule::SuccessRate,
            Self::Failures { .. } => Rule::FailurePercentage,
            Self::Latency { .. } => Rule::Latency,
        }
    }

    /// The flag of the failure that tipped the balance; none where that was an answer, or the pod stood out from the
    /// others.
    pub fn flag(self) -> Flag {
        match self {
            Self::Failed(kind) => kind.row().flag,
            Self::Silent | Self::Unanswered { .. } => Flag::Ut,
            Self::Said(_)
            | Self::SuccessRate { .. }
            | Self::Failures { .. }
            | Self::Latency { .. } => Flag::None,
        }
    }
}

impl Rule {
    pub const ALL: [Self; 7] = [
        Self::Failures,
        Self::Status,
        Self::Grpc,
        Self::Silence,
        Self::SuccessRate,
        Self::FailurePercentage,
        Self::Latency,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Status => "status",
            Self::Grpc => "grpc",
            Self::Silence => "silence",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::Latency => "latency",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(kind) => write!(f, "failures in a row, the last: {}", kind.row().name),
            Self::Said(said) => write!(f, "failures in a row, the last: {said}"),
            Self::Silent => f.write_str(
                "failures in a row, the last: silent until its client gave up, while other pods answer",
            ),
            Self::Unanswered { waiting } => write!(
                f,
                "it answers none of the requests it has ({waiting}), while other pods answer"
            ),
            Self::SuccessRate { rate, mean } => write!(
                f,
                "{rate} % of its requests succeeded, of the pods' on average {mean} %"
            ),
            Self::Failures { percent } => write!(f, "{percent} % of its requests failed"),
            Self::Latency { micros, median } => write!(
                f,
                "its answers took {:?} on average, the median pod's {:?}",
                Duration::from_micros(*micros),
                Duration::from_micros(*median)
            ),
        }
    }
}
