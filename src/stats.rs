//! Counters that workers write and admin reads at scrape time.
//!
//! Each worker has a shard of its own, so a count is one uncontended add; a reader sums the shards.

mod ewma;
mod reported;
mod silence;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::admission::{PodConnections, PodLimit};
use crate::error::Flag;

use silence::SilenceShard;

pub use ewma::{Outcome, PeakEwma};
pub use reported::Reported;
pub use silence::Silence;
pub use tally::{Tally, TallyShard};

/// Status classes 1xx to 5xx.
pub const CLASSES: usize = 5;
const FLAGS: usize = Flag::ALL.len();

/// Counts of one endpoint, for as long as its identity lives.
#[derive(Debug)]
pub struct EndpointStats {
    shards: Box<[CachePadded<EndpointShard>]>,
    born: Instant,
    /// Set while membership counts failures against this endpoint: successes are news then.
    suspect: std::sync::atomic::AtomicBool,
    /// Kept for the policy that asks for it.
    latency: Option<PeakEwma>,
    /// Kept where pods are compared by it.
    tallies: Option<Box<[CachePadded<TallyShard>]>>,
    /// What it reports of its load, for the policy that asks for it.
    reported: Option<Reported>,
    /// What it is given at most, where that is limited.
    limit: Option<Arc<PodLimit>>,
    /// How many connections there may be, where that is limited.
    connections: Option<Arc<PodConnections>>,
}

/// One worker's part of an endpoint's counts.
#[derive(Debug, Default)]
pub struct EndpointShard {
    started: AtomicU64,
    ended: AtomicU64,
    answered: AtomicU64,
    tunnels_opened: AtomicU64,
    tunnels_closed: AtomicU64,
    finished: [[AtomicU64; FLAGS]; CLASSES],
    silence: SilenceShard,
}

impl EndpointStats {
    pub fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| CachePadded::default()).collect(),
            born: Instant::now(),
            suspect: false.into(),
            latency: None,
            tallies: None,
            reported: None,
            limit: None,
            connections: None,
        }
    }

    /// With a moving average of its latency.
    pub fn with_latency(workers: usize, latency: PeakEwma) -> Self {
        Self {
            latency: Some(latency),
            ..Self::new(workers)
        }
    }

    /// With what comes of its requests.
    #[must_use]
    pub fn with_tallies(self) -> Self {
        let tallies = self.shards.iter().map(|_| CachePadded::default()).collect();
        Self {
            tallies: Some(tallies),
            ..self
        }
    }

    /// With what it reports of its load.
    #[must_use]
    pub fn with_reports(self, reported: Reported) -> Self {
        Self {
            reported: Some(reported),
            ..self
        }
    }

    /// With a bound on requests in flight there.
    pub fn limited(self, limit: Arc<PodLimit>) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// With a bound on connections there.
    #[must_use]
    pub fn with_connections(self, connections: Arc<PodConnections>) -> Self {
        Self {
            connections: Some(connections),
            ..self
        }
    }

    pub fn connections(&self) -> Option<&Arc<PodConnections>> {
        self.connections.as_ref()
    }

    /// Where this worker counts what comes of requests.
    pub fn tally_shard(&self, worker: usize) -> Option<&TallyShard> {
        self.tallies.as_ref()?.get(worker).map(|shard| &**shard)
    }

    /// What has come of requests; nothing where that is not counted.
    pub fn tally(&self) -> Tally {
        let shards = self.tallies.iter().flatten();
        shards.fold(Tally::default(), |sum, shard| sum.plus(shard.read()))
    }

    pub fn limit(&self) -> Option<&Arc<PodLimit>> {
        self.limit.as_ref()
    }

    pub fn reported(&self) -> Option<&Reported> {
        self.reported.as_ref()
    }

    pub fn latency(&self) -> Option<&PeakEwma> {
        self.latency.as_ref()
    }

    pub fn shard(&self, worker: usize) -> &EndpointShard {
        &self.shards[worker]
    }

    pub fn suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    pub fn set_suspect(&self, suspect: bool) {
        self.suspect.store(suspect, Relaxed);
    }

    /// Attempts sent there.
    pub fn attempts(&self) -> u64 {
        self.sum(|shard| &shard.started)
    }

    /// Attempts that brought a response's head.
    pub fn answered(&self) -> u64 {
        self.sum(|shard| &shard.answered)
    }

    /// Attempts under way. Shards are read one after the other, so a busy moment may be off by a few.
    pub fn in_flight(&self) -> u64 {
        let ended = self.sum(|shard| &shard.ended);
        self.attempts().saturating_sub(ended)
    }

    /// What it has in hand: attempts under way and tunnels. Each worker's shard is read, which costs a pick less than
    /// a count that all workers write to would cost each request.
    pub fn load(&self) -> u64 {
        let mut begun = 0;
        let mut ended = 0;
        for shard in &self.shards {
            ended += shard.ended.load(Relaxed) + shard.tunnels_closed.load(Relaxed);
            begun += shard.started.load(Relaxed) + shard.tunnels_opened.load(Relaxed);
        }
        // Between two shards one worker may have begun what another has ended.
        begun.saturating_sub(ended)
    }

    /// Tunnels open there.
    pub fn tunnels(&self) -> u64 {
        let closed = self.sum(|shard| &shard.tunnels_closed);
        self.sum(|shard| &shard.tunnels_opened)
            .saturating_sub(closed)
    }

    /// Requests that ended there, by status class (1 to 5) and flag.
    pub fn finished(&self, class: usize, flag: Flag) -> u64 {
        self.sum(|shard| &shard.finished[class - 1][flag as usize])
    }

    fn sum(&self, counter: impl Fn(&EndpointShard) -> &AtomicU64) -> u64 {
        self.shards
            .iter()
            .map(|shard| counter(shard).load(Relaxed))
            .sum()
    }
}

impl EndpointShard {
    pub fn start(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    pub fn end(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub fn answer(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// Attempts of this worker's that brought a response's head.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    pub fn open_tunnel(&self) {
        self.tunnels_opened.fetch_add(1, Relaxed);
    }

    pub fn close_tunnel(&self) {
        self.tunnels_closed.fetch_add(1, Relaxed);
    }

    pub fn finish(&self, status: http::StatusCode, flag: Flag) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES);
        self.finished[class - 1][flag as usize].fetch_add(1, Relaxed);
    }
}

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
    finished: [[AtomicU64; FLAGS]; CLASSES],
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
    latency: LatencyShard,
}

/// Upper bounds of the latency histogram, in seconds.
pub const LATENCY_BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Debug, Default)]
struct LatencyShard {
    /// One more than bounds: the last is +Inf.
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum_micros: AtomicU64,
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
            .map(|shard| shard.finished[class - 1][flag as usize].load(Relaxed))
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
    pub fn latency(&self) -> ([u64; LATENCY_BOUNDS.len() + 1], f64) {
        let mut buckets = [0; LATENCY_BOUNDS.len() + 1];
        let mut sum = 0;
        for shard in &self.shards {
            for (total, bucket) in buckets.iter_mut().zip(&shard.latency.buckets) {
                *total += bucket.load(Relaxed);
            }
            sum += shard.latency.sum_micros.load(Relaxed);
        }
        (buckets, Duration::from_micros(sum).as_secs_f64())
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
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES);
        self.finished[class - 1][flag as usize].fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.latency.buckets[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.sum_micros.fetch_add(micros, Relaxed);
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
