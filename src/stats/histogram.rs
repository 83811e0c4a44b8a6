//! The histogram of what requests took.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
pub const LATENCY_BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A count for each bucket, not cumulative. One more than bounds: the last is +Inf.
pub type Buckets = [u64; LATENCY_BOUNDS.len() + 1];

/// One worker's part.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// Of all workers: the buckets, and what all took together in seconds.
    pub(super) fn sum<'a>(shards: impl Iterator<Item = &'a Self>) -> (Buckets, f64) {
        let mut buckets = Buckets::default();
        let mut micros = 0;
        for shard in shards {
            for (total, bucket) in buckets.iter_mut().zip(&shard.buckets) {
                *total += bucket.load(Relaxed);
            }
            micros += shard.sum_micros.load(Relaxed);
        }
        (buckets, Duration::from_micros(micros).as_secs_f64())
    }
}
