//! What is known of a pod, by count and by average.

mod silence;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::finished::Finished;
use super::{PeakEwma, Reported, Tally, TallyShard};
use crate::admission::{PodConnections, PodLimit};
use crate::error::Flag;

use silence::SilenceShard;

pub use silence::Silence;

/// Counts of one endpoint, for as long as its identity lives.
#[derive(Debug)]
pub struct EndpointStats {
    shards: Box<[CachePadded<EndpointShard>]>,
    /// When it came: moments are kept as time since then.
    born: Instant,
    /// Set while membership counts failures against this endpoint: successes are news then.
    suspect: AtomicBool,
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
    finished: Finished,
    silence: SilenceShard,
}

impl EndpointStats {
    pub fn new(workers: usize, now: Instant) -> Self {
        Self {
            shards: (0..workers).map(|_| CachePadded::default()).collect(),
            born: now,
            suspect: false.into(),
            latency: None,
            tallies: None,
            reported: None,
            limit: None,
            connections: None,
        }
    }

    /// With a moving average of its latency.
    #[must_use]
    pub fn with_latency(self, latency: PeakEwma) -> Self {
        Self {
            latency: Some(latency),
            ..self
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
    #[must_use]
    pub fn with_limit(self, limit: Arc<PodLimit>) -> Self {
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
        self.sum(|shard| shard.finished.counter(class, flag))
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
        self.finished.add(status, flag);
    }
}
