//! What membership tells everyone else: the endpoints of a target at one moment, and who gets traffic.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::balance::{Picker, Ramp};
use crate::endpoint::Endpoint;
use crate::outlier::{Cause, Rule};
use crate::stats::EndpointStats;

/// An immutable list. Membership alone makes one; workers and admin read it.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up from 0, the empty snapshot before the first list.
    pub version: u64,
    /// Pods are used that would be left out, as too few others are usable.
    pub panics: bool,
    /// Every endpoint known, used or not, sorted by identity.
    pub members: Vec<Member>,
    /// Chooses among the members that get traffic, by their index in `members`.
    pub picker: Picker,
    pub published: SystemTime,
}

/// An endpoint with what membership knows of it beyond the list.
#[derive(Clone, Debug)]
pub struct Member {
    pub endpoint: Arc<Endpoint>,
    pub health: Health,
    /// On its way to its whole share.
    pub ramp: Option<Ramp>,
    /// Under the policy that goes by reports: what weight its own come to, if they count. See [`MEAN_WEIGHT`].
    pub reported: Option<Option<u32>>,
    /// Counted by workers, read at scrape time; lives as long as the identity does.
    pub stats: Arc<EndpointStats>,
}

/// The weight made of reports for a pod that is as good as the mean of all, or of which nothing is known.
pub const MEAN_WEIGHT: u32 = 100;

#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    /// Nothing is held against it.
    Healthy,
    /// Gets no traffic until then.
    Ejected { until: SystemTime, cause: Cause },
    /// It fails its active checks, and gets no traffic.
    Unhealthy { reason: String },
    /// It gets no traffic before its first active check.
    Unchecked,
    /// It would be left out so, and is used as too few others are usable.
    Panic { held: Box<Self> },
    /// Its ejection has passed: one request is let through, and its outcome decides.
    Trial { cause: Cause },
}

impl Health {
    /// Ejected as it answers none of the requests it has, or had until its clients gave up.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Ejected { cause, .. } if cause.rule() == Rule::Silence)
    }

    /// Why it is ejected or on trial.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Ejected { cause, .. } | Self::Trial { cause } => Some(*cause),
            Self::Panic { held } => held.cause(),
            _ => None,
        }
    }

    /// The same where all are used.
    pub fn in_panic(self) -> Self {
        match self {
            Self::Healthy | Self::Panic { .. } => self,
            out => Self::Panic {
                held: Box::new(out),
            },
        }
    }
}

impl Member {
    /// Whether requests go there now (a pod on trial gets one at a time).
    pub fn gets_traffic(&self) -> bool {
        let left_out = matches!(
            self.health,
            Health::Ejected { .. } | Health::Unhealthy { .. } | Health::Unchecked
        );
        self.endpoint.is_used() && !left_out
    }

    /// The part that is due to it, compared with the others': the list's word, or what comes of reports. Who is drained
    /// by the list stays so.
    pub fn weight(&self) -> u32 {
        match (self.endpoint.weight, self.reported) {
            (weight @ 0, _) | (weight, None) => weight,
            (_, Some(reported)) => reported.unwrap_or(MEAN_WEIGHT),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// One word for `/state` and metrics: the list's standing, or what health makes of it.
    pub fn state(&self) -> &'static str {
        match (&self.health, self.endpoint.is_used()) {
            (Health::Ejected { .. }, true) => "ejected",
            (Health::Trial { .. }, true) => "trial",
            (Health::Unhealthy { .. }, true) => "unhealthy",
            (Health::Unchecked, true) => "unchecked",
            (Health::Panic { .. }, true) => "panic",
            _ => self.endpoint.standing.as_str(),
        }
    }

    pub const STATES: [&'static str; 11] = [
        "ready",
        "fallback",
        "ejected",
        "trial",
        "unhealthy",
        "unchecked",
        "panic",
        "terminating",
        "not_ready",
        "elsewhere",
        "outside",
    ];
}
