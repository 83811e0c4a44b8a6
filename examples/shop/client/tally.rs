//! What came of the requests: of an interval, and of all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

/// An answer that took longer is a slow one.
const SLOW: Duration = Duration::from_secs(1);

/// Failures that a line tells one by one; all are counted.
const TOLD: usize = 20;

#[derive(Debug)]
pub struct Tally {
    start: Instant,
    stopped: Cell<bool>,
    on_their_way: Cell<usize>,
    interval: RefCell<Count>,
    all: RefCell<Count>,
}

#[derive(Debug, Default)]
struct Count {
    sent: u64,
    skipped: u64,
    pods: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    failures: Vec<(f64, String)>,
    latencies: Vec<Duration>,
}

/// Seconds since 1970, to set lines beside what happened elsewhere.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    round(since.unwrap_or_default().as_secs_f64())
}

impl Tally {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            stopped: Cell::new(false),
            on_their_way: Cell::new(0),
            interval: RefCell::default(),
            all: RefCell::default(),
        }
    }

    pub fn stop(&self) {
        self.stopped.set(true);
    }

    pub fn stopped(&self) -> bool {
        self.stopped.get()
    }

    pub fn on_their_way(&self) -> usize {
        self.on_their_way.get()
    }

    /// A request is sent now.
    pub fn sent(&self) -> Instant {
        self.on_their_way.set(self.on_their_way.get() + 1);
        self.both(|count| count.sent += 1);
        Instant::now()
    }

    /// A request was due that could not be sent.
    pub fn skipped(&self) {
        self.both(|count| count.skipped += 1);
    }

    /// A request has ended: with the name of the pod that answered, or with a cause.
    pub fn done(&self, started: Instant, outcome: &Result<String, String>) {
        self.on_their_way.set(self.on_their_way.get() - 1);
        let latency = started.elapsed();
        let at = self.at();
        self.both(|count| match outcome {
            Ok(pod) => {
                *count.pods.entry(pod.clone()).or_default() += 1;
                count.latencies.push(latency);
            }
            Err(cause) => {
                *count.failed.entry(cause.clone()).or_default() += 1;
                if count.failures.len() < TOLD {
                    count.failures.push((at, cause.clone()));
                }
            }
        });
    }

    pub fn has_failures(&self) -> bool {
        !self.all.borrow().failed.is_empty()
    }

    /// Whether exactly so many pods have answered in the interval that ends now, equally often: a request of a turn may
    /// fall into the next interval, none may have failed.
    pub fn is_even(&self, pods: Option<usize>) -> bool {
        let interval = self.interval.borrow();
        let shares = || interval.pods.values();
        let apart = shares()
            .max()
            .zip(shares().min())
            .map(|(most, least)| most - least);
        pods == Some(interval.pods.len()) && interval.failed.is_empty() && apart <= Some(1)
    }

    /// The interval that ends now; the next one begins.
    pub fn line(&self) -> Value {
        self.describe(self.interval.take(), false)
    }

    pub fn total(&self) -> Value {
        self.describe(self.all.take(), true)
    }

    fn both(&self, change: impl Fn(&mut Count)) {
        change(&mut self.interval.borrow_mut());
        change(&mut self.all.borrow_mut());
    }

    fn at(&self) -> f64 {
        round(self.start.elapsed().as_secs_f64())
    }

    fn describe(&self, mut count: Count, total: bool) -> Value {
        count.latencies.sort_unstable();
        let latency = |percent: usize| {
            let index = (count.latencies.len() * percent / 100)
                .min(count.latencies.len().saturating_sub(1));
            let latency = count.latencies.get(index).copied().unwrap_or_default();
            round(latency.as_secs_f64() * 1000.0)
        };
        let slow = count.latencies.partition_point(|latency| *latency <= SLOW);
        let slow = count.latencies.len() - slow;
        let failures = count.failures.iter();
        let failures: Vec<Value> = failures
            .map(|(at, cause)| json!({"at": at, "cause": cause}))
            .collect();
        json!({
            "time": now(),
            "at": self.at(),
            "total": total,
            "sent": count.sent,
            "ok": count.latencies.len(),
            "failed": count.failed.values().sum::<u64>(),
            "slow": slow,
            "skipped": count.skipped,
            "pods": count.pods,
            "causes": count.failed,
            "failures": failures,
            "ms": {"p50": latency(50), "p99": latency(99), "max": latency(100)},
        })
    }
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
