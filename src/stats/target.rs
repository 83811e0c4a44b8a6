//! What is counted of a target, whichever pods its requests went to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::finished::Finished;
use super::histogram::{Buckets, Histogram};
use crate::error::Flag;

/// Counts of one target (a listener with its Service).
#[derive(Debug)]
pub struct TargetStats {
    shards: Box<[CachePadded<TargetShard>]>,
}

/// One worker's part of a target's counts.
#[derive(Debug, Default)]
pub struct TargetShard {
    /// Requests that ended, with a pod or without, by status class and flag. Pods' own counts go when the pod goes;
    /// these only grow.
    finished: Finished,
    attempts: AtomicU64,
    answered: AtomicU64,
    requests_started: AtomicU64,
    requests_ended: AtomicU64,
    held_started: AtomicU64,
    held_ended: AtomicU64,
    pending_started: AtomicU64,
    pending_ended: AtomicU64,
    pending_refused: AtomicU64,
    pending_timed_out: AtomicU64,
    retries: AtomicU64,
    retries_refused: AtomicU64,
    hedges_won: AtomicU64,
    hedges_lost: AtomicU64,
    hedges_failed: AtomicU64,
    hedges_refused: AtomicU64,
    /// In microseconds; 0 where it is not known, or nobody asks.
    hedge_after: AtomicU64,
    facts_dropped: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_refused: AtomicU64,
    upstream_opened: AtomicU64,
    upstream_closed: AtomicU64,
    tunnels_opened: AtomicU64,
    tunnels_closed: AtomicU64,
    latency: Histogram,
}

/// A count of a target, by name: the field says what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    RequestStarted,
    RequestEnded,
    /// A request sent to a pod, first or again.
    Attempt,
    /// An attempt that brought a response's head.
    Answered,
    HeldStarted,
    HeldEnded,
    /// A request that waits for room, as every pod is full.
    PendingStarted,
    PendingEnded,
    /// A request that found every pod full, and the queue too.
    PendingRefused,
    /// A request that waited for room in vain.
    PendingTimedOut,
    Retry,
    /// A retry that the budget refused.
    RetryRefused,
    /// A request that was sent to a second pod while the first was silent, and got that one's answer.
    HedgeWon,
    /// One where the first was faster, or the client left.
    HedgeLost,
    /// One where the second brought no answer that counts.
    HedgeFailed,
    /// One that the budget did not allow.
    HedgeRefused,
    /// A fact for membership that found its queue full.
    FactDropped,
    ConnectionOpened,
    ConnectionClosed,
    /// A client connection past the limit.
    ConnectionRefused,
    UpstreamOpened,
    UpstreamClosed,
    /// A request that has become a tunnel.
    TunnelOpened,
    TunnelClosed,
}

impl TargetStats {
    pub fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| CachePadded::default()).collect(),
        }
    }

    pub fn shard(&self, worker: usize) -> &TargetShard {
        &self.shards[worker]
    }

    pub fn count(&self, count: Count) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.counter(count).load(Relaxed))
            .sum()
    }

    /// Requests and tunnels under way, held requests among them.
    pub fn load(&self) -> u64 {
        let ended = self.count(Count::RequestEnded) + self.count(Count::TunnelClosed);
        let begun = self.count(Count::RequestStarted) + self.count(Count::TunnelOpened);
        begun.saturating_sub(ended)
    }

    /// Requests that ended, by status class (1 to 5) and flag.
    pub fn finished(&self, class: usize, flag: Flag) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.finished.counter(class, flag).load(Relaxed))
            .sum()
    }

    /// How long a request is left to one pod before it goes to a second one too, on the worker that waits longest.
    pub fn hedge_after(&self) -> Option<Duration> {
        let shards = self.shards.iter();
        let micros = shards.map(|shard| shard.hedge_after.load(Relaxed));
        let longest = micros.max().filter(|micros| *micros > 0);
        longest.map(Duration::from_micros)
    }

    /// Latency counts per bucket (not cumulative, the last is +Inf) and the sum in seconds.
    pub fn latency(&self) -> (Buckets, f64) {
        Histogram::sum(self.shards.iter().map(|shard| &shard.latency))
    }
}

impl TargetShard {
    pub fn add(&self, count: Count) {
        self.counter(count).fetch_add(1, Relaxed);
    }

    /// What this worker has counted.
    pub fn count(&self, count: Count) -> u64 {
        self.counter(count).load(Relaxed)
    }

    pub fn set_hedge_after(&self, after: Option<Duration>) {
        let micros = after.map_or(0, |after| {
            u64::try_from(after.as_micros()).unwrap_or(u64::MAX)
        });
        self.hedge_after.store(micros, Relaxed);
    }

    /// A request that ended, sent to a pod or not; `took` is from its head to the last byte of its response.
    pub fn finish(&self, status: http::StatusCode, flag: Flag, took: Duration) {
        self.finished.add(status, flag);
        self.latency.observe(took);
    }

    fn counter(&self, count: Count) -> &AtomicU64 {
        match count {
            Count::RequestStarted => &self.requests_started,
            Count::RequestEnded => &self.requests_ended,
            Count::Attempt => &self.attempts,
            Count::Answered => &self.answered,
            Count::HeldStarted => &self.held_started,
            Count::HeldEnded => &self.held_ended,
            Count::PendingStarted => &self.pending_started,
            Count::PendingEnded => &self.pending_ended,
            Count::PendingRefused => &self.pending_refused,
            Count::PendingTimedOut => &self.pending_timed_out,
            Count::Retry => &self.retries,
            Count::RetryRefused => &self.retries_refused,
            Count::HedgeWon => &self.hedges_won,
            Count::HedgeLost => &self.hedges_lost,
            Count::HedgeFailed => &self.hedges_failed,
            Count::HedgeRefused => &self.hedges_refused,
            Count::FactDropped => &self.facts_dropped,
            Count::ConnectionOpened => &self.connections_opened,
            Count::ConnectionClosed => &self.connections_closed,
            Count::ConnectionRefused => &self.connections_refused,
            Count::UpstreamOpened => &self.upstream_opened,
            Count::UpstreamClosed => &self.upstream_closed,
            Count::TunnelOpened => &self.tunnels_opened,
            Count::TunnelClosed => &self.tunnels_closed,
        }
    }
}
