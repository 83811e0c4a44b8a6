//! What workers tell of attempts, as far as the pods' health is concerned.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::config::GrpcCode;
use crate::endpoint::Endpoint;
use crate::error::Kind;

/// What a worker tells membership about one attempt.
#[derive(Clone, Debug)]
pub struct Fact {
    pub endpoint: Arc<Endpoint>,
    pub outcome: Outcome,
    /// When the attempt began.
    pub started: Instant,
    /// The pod's host answered that nobody listens on the port (and not: the host could not be reached).
    pub refused: bool,
}

/// How an attempt ended, as far as the pod's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response's head came. Reported only of endpoints under suspicion.
    Answered,
    /// The pod failed it, in a way that [`Kind::row`] blames on pods.
    Failed(Kind),
    /// It answered, in a way that is set to count as a failure.
    Said(Said),
    /// The client left after the pod had been silent for longer than [`SILENCE`].
    GaveUp {
        /// What the others are known to have answered since the request began, while this pod answered nothing.
        others: u64,
    },
}

/// An answer that is set to count as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    Status(StatusCode),
    Code(GrpcCode),
}

/// A client that leaves earlier says nothing about the pod.
pub const SILENCE: Duration = Duration::from_secs(1);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::Code(code) => write!(f, "answered {code}"),
        }
    }
}
