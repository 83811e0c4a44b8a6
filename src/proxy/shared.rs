//! What is handed to a target's proxies.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::admission::{Limit, Pending};
use crate::config::{Failures, HashKey, Limits, RetrySettings, Timeouts, UpstreamProtocol};
use crate::discovery;
use crate::outlier::Fact;
use crate::pool;
use crate::snapshot::Snapshot;
use crate::stats::TargetStats;
use crate::upstream_tls::UpstreamTls;

/// What all workers of a target share, and what reaches them from outside.
#[derive(Clone, Debug)]
pub struct Shared {
    pub target: Arc<str>,
    pub settings: Settings,
    pub stats: Arc<TargetStats>,
    /// Requests in flight, over all targets.
    pub requests: Arc<Limit>,
    /// Tunnels and requests that ask for one, over all targets.
    pub upgrades: Arc<Limit>,
    /// Requests waiting for an endpoint, of this target.
    pub held: Arc<Limit>,
    /// Requests waiting for room at a pod of this target, where pods can be full.
    pub pending: Option<Arc<Pending>>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub status: watch::Receiver<discovery::Status>,
    pub facts: mpsc::Sender<Fact>,
    pub access_log: Option<AccessLog>,
    /// The host of requests that name none.
    pub default_host: HeaderValue,
    pub workers: usize,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub timeouts: Timeouts,
    /// How long a request waits while every pod is full.
    pub pending_timeout: Duration,
    pub retry: RetrySettings,
    /// Which answers count as failures of their pod.
    pub failures: Failures,
    pub upstream_protocol: UpstreamProtocol,
    pub upstream_tls: UpstreamTls,
    /// What of a request decides on its pod, where the policy asks for it.
    pub hash_key: Option<HashKey>,
}

impl Settings {
    pub(super) fn pool(&self) -> pool::Settings {
        pool::Settings {
            protocol: self.upstream_protocol,
            tls: self.upstream_tls.clone(),
            connect_timeout: self.timeouts.connect,
            header_bytes: self.limits.header_bytes,
            idle_for: self.timeouts.upstream_idle,
            idle_per_pod: self.limits.idle_per_pod,
            idle_total: self.limits.idle_total,
            keepalive: self.timeouts.upstream_keepalive,
        }
    }
}
