//! How long attempts take: a quantile of the last ten to twenty seconds, within a sixteenth, from counts of fixed size.
//!
//! What was given up counts as what it took until then, so that giving up slow attempts does not make the rest look
//! faster. And a pod that is slow altogether is left out: one of ten would else set the measure by which it is judged,
//! and a request to it would wait for what is usual there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::endpoint::Identity;

/// Of one worker, of the pods of one target.
#[derive(Debug)]
pub struct Latencies {
    /// In this interval and in the one before.
    intervals: [Interval; 2],
    began: Instant,
    pods: HashMap<Identity, Pace>,
    /// What is slow for a pod, once that is known.
    slow: Option<Duration>,
}

#[derive(Debug, Default)]
struct Interval {
    all: Counts,
    /// Of these, those of slow pods.
    odd: Counts,
}

/// Counts by length: sixteen for each power of two of microseconds.
#[derive(Debug)]
struct Counts(Box<[u32; BUCKETS]>);

/// How one pod's last attempts have been.
#[derive(Debug, Default)]
struct Pace {
    /// What share of them was slow.
    slow: f64,
    is_slow: bool,
    /// Intervals since the last one.
    idle: u8,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Answered,
    /// It would have taken longer.
    GivenUp,
}

const INTERVAL: Duration = Duration::from_secs(10);

/// Powers of two that a microsecond more or less makes no difference to.
const FINE_BITS: u32 = 4;
const FINE: usize = 1 << FINE_BITS;
const BUCKETS: usize = (u32::BITS - FINE_BITS + 1) as usize * FINE;

/// Fewer attempts say nothing of a quantile, nor do fewer beyond it.
const LEAST_ATTEMPTS: u32 = 100;
const LEAST_BEYOND: f64 = 5.0;

/// A pod is slow if more than half of its last attempts take longer than so many times the median of all.
const SLOW_FACTOR: u32 = 3;

/// What one attempt counts for among a pod's last: that many in a row would make all of the share but a third.
const LAST: f64 = 32.0;

impl Latencies {
    pub fn new(now: Instant) -> Self {
        Self {
            intervals: Default::default(),
            began: now,
            pods: HashMap::new(),
            slow: None,
        }
    }

    /// An attempt at that pod took so long.
    pub fn record(&mut self, pod: &Identity, took: Duration, end: End) {
        if !self.pods.contains_key(pod) {
            self.pods.insert(pod.clone(), Pace::default());
        }
        let Some(pace) = self.pods.get_mut(pod) else {
            return;
        };
        // Another pod was faster than one that was given up.
        let is_slow = end == End::GivenUp || self.slow.is_some_and(|slow| took > slow);
        pace.slow += (f64::from(u8::from(is_slow)) - pace.slow) / LAST;
        pace.idle = 0;
        let interval = &mut self.intervals[0];
        interval.all.add(took);
        if pace.is_slow {
            interval.odd.add(took);
        }
    }

    /// Begins another interval where one has passed, and looks which pods are slow.
    pub fn renew(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= INTERVAL {
            // After two of them nothing that was counted is recent.
            let turns = if passed >= 2 * INTERVAL { 2 } else { 1 };
            for _ in 0..turns {
                self.turn();
            }
            self.began = now;
        }
        let median = self.among(0.5, |interval, bucket| interval.all.0[bucket]);
        self.slow = median.map(|median| median * SLOW_FACTOR);
        for pace in self.pods.values_mut() {
            pace.is_slow = pace.slow > 0.5;
        }
        // Where most are slow, that is what is usual.
        let slow = self.pods.values().filter(|pace| pace.is_slow).count();
        if slow * 2 >= self.pods.len() || self.slow.is_none() {
            for pace in self.pods.values_mut() {
                pace.is_slow = false;
            }
        }
    }

    /// What so many of a hundred attempts stay within; `None` while too few are known.
    pub fn quantile(&self, percent: f64) -> Option<Duration> {
        self.among(percent / 100.0, |interval, bucket| {
            interval.all.0[bucket].saturating_sub(interval.odd.0[bucket])
        })
    }

    fn among(
        &self,
        share: f64,
        count: impl Fn(&Interval, usize) -> u32 + Copy,
    ) -> Option<Duration> {
        let counts = (0..BUCKETS).map(|bucket| {
            let counts = self.intervals.iter().map(|each| count(each, bucket));
            counts.fold(0, u32::saturating_add)
        });
        let total = counts.clone().fold(0, u32::saturating_add);
        let within = f64::from(total) * share;
        if total < LEAST_ATTEMPTS || f64::from(total) - within < LEAST_BEYOND - 1e-6 {
            return None;
        }
        let mut so_far = 0.0;
        for (bucket, count) in counts.enumerate() {
            so_far += f64::from(count);
            if so_far >= within {
                return Some(end_of(bucket));
            }
        }
        None
    }

    fn turn(&mut self) {
        self.intervals.swap(0, 1);
        self.intervals[0] = Interval::default();
        self.pods.retain(|_, pace| {
            pace.idle += 1;
            pace.idle < 2
        });
    }
}

impl Counts {
    fn add(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let count = &mut self.0[bucket(micros)];
        *count = count.saturating_add(1);
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

fn bucket(micros: u32) -> usize {
    let power = micros.checked_ilog2().unwrap_or(0);
    let shift = power.saturating_sub(FINE_BITS);
    // Up to twice the fine ones lie a microsecond apart.
    shift as usize * FINE + (micros >> shift) as usize
}

/// The longest that counts there.
fn end_of(bucket: usize) -> Duration {
    let shift = (bucket / FINE).saturating_sub(1);
    let fine = (bucket - shift * FINE) as u64;
    Duration::from_micros(((fine + 1) << shift) - 1)
}

#[cfg(test)]
mod tests;
