//! What all connections of one worker to one target have in common.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::UpstreamProtocol;
use crate::stats::{TargetShard, TargetStats};
use crate::upstream_tls::UpstreamTls;

/// How pods are reached, and what is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is spoken to them.
    pub protocol: UpstreamProtocol,
    pub tls: UpstreamTls,
    pub connect_timeout: Duration,
    /// The most bytes of a response's head.
    pub header_bytes: usize,
    /// How long a connection over HTTP/1.1 may lie idle, until its pod names a time of its own.
    pub idle_for: Duration,
    /// Idle connections over HTTP/1.1, to one pod and to all.
    pub idle_per_pod: usize,
    pub idle_total: usize,
    /// A pod with requests in flight over HTTP/2 that gives no sign of life is given up after this.
    pub keepalive: Duration,
}

/// What all upstreams of one worker and target have in common: settings, and the counts their bounds hold for.
#[derive(Debug)]
pub struct Shared {
    pub(super) settings: Settings,
    /// Idle connections over HTTP/1.1.
    pub(super) idle: Cell<usize>,
    stats: Arc<TargetStats>,
    pub(super) worker: usize,
}

impl Shared {
    pub fn new(settings: Settings, stats: Arc<TargetStats>, worker: usize) -> Rc<Self> {
        Rc::new(Self {
            settings,
            idle: Cell::new(0),
            stats,
            worker,
        })
    }

    pub(super) fn counters(&self) -> &TargetShard {
        self.stats.shard(self.worker)
    }
}
