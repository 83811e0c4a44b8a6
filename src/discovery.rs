//! Discovery: from a source of EndpointSlices to a list of endpoints.
//!
//! ```text
//! watch (kube) ─┐
//! file         ─┼─ slices::fold (pure) ─ Update ──> membership
//! fixed list   ─┘                       └ Status ─> admin
//! ```
//! Every source sends whole lists: an [`Update`] replaces what was known. A source that cannot read keeps quiet
//! about endpoints and says so in its [`Status`]; the last list then serves on.

mod bulletin;
mod events;
pub mod file;
pub mod fixed;
mod list;
mod service;
pub mod slices;
mod trouble;
pub mod vantage;
pub mod watch;

use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch::Sender};

use crate::endpoint::Endpoint;

/// A whole list of endpoints, to be used from now on.
#[derive(Debug)]
pub struct Update {
    /// Every endpoint known, used or not, sorted by identity, no identity twice.
    pub endpoints: Vec<Endpoint>,
    /// When the last byte of the event that brought this list was read.
    pub received: Instant,
    /// `endpoints.kubernetes.io/last-change-trigger-time` of the slices that changed: the latest one.
    pub triggered: Option<SystemTime>,
}

/// How well a source knows the present. Written by the source alone, read by admin and metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub phase: Phase,
    /// When this phase began.
    pub since: SystemTime,
    /// The last moment the source was known to be right: a byte of the watch, a list, a file read.
    pub fresh: Option<SystemTime>,
    /// What went wrong last, as one line with its mend; `None` once all is well again.
    pub error: Option<String>,
}

impl Status {
    /// Nothing is known yet.
    pub fn starting(now: SystemTime) -> Self {
        Self {
            phase: Phase::Starting,
            since: now,
            fresh: None,
            error: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No list yet.
    Starting,
    /// The list is current, and changes will be heard.
    Live,
    /// A list is known, and a new one is being read.
    Relisting,
    /// The source cannot be read; the last list serves on.
    Stale,
}

impl Phase {
    pub const ALL: [Self; 4] = [Self::Starting, Self::Live, Self::Relisting, Self::Stale];

    /// The word for logs, `/state` and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Relisting => "relisting",
            Self::Stale => "stale",
        }
    }
}

/// Where a source puts what it learns.
///
/// `updates` is bounded and waited on: membership applies an update in microseconds, and a source that is ahead has
/// nothing better to do. When membership is gone the source ends.
#[derive(Debug)]
pub struct Outlet {
    pub updates: mpsc::Sender<Update>,
    pub status: Sender<Status>,
}

/// Updates a source may be ahead of membership.
pub const UPDATE_QUEUE: usize = 16;
