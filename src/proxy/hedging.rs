//! When a request is sent to a second pod while the first is silent: after a time that is set, or learnt from what
//! attempts take.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::latencies::{End, Latencies};
use crate::config::Hedge;
use crate::endpoint::Identity;

/// Of one target, as one worker knows it.
#[derive(Debug)]
pub struct Hedging {
    hedge: Hedge,
    /// As it is now; `None` while too little is known.
    after: Cell<Option<Duration>>,
    /// Where that is learnt.
    latencies: Option<RefCell<Latencies>>,
    /// Pods whose requests were given up, those of the last while.
    left: RefCell<HashMap<Identity, Left>>,
    counters: Rc<Counters>,
}

/// A pod that has answered nothing since a request to it was given up.
///
/// The pod's own counters know of a silence only while a request waits there ([`EndpointStats::silence`]): they cannot
/// tell a client that left from a pod that was too late, and a silence must not outlast the requests that suffer it.
/// Here each request leaves before the next comes, so that there they would each begin another silence.
///
/// [`EndpointStats::silence`]: crate::stats::EndpointStats::silence
#[derive(Clone, Copy, Debug)]
struct Left {
    since: Instant,
    /// What it had answered then.
    answered: u64,
}

/// With so few requests that it has not been given another since, a pod's silence says little.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

impl Hedging {
    pub fn new(hedge: Hedge, counters: Rc<Counters>, now: Instant) -> Rc<Self> {
        let (after, latencies) = match hedge {
            Hedge::After(time) => (Some(time), None),
            Hedge::Quantile { .. } => (None, Some(RefCell::new(Latencies::new(now)))),
        };
        counters.set_hedge_after(after);
        Rc::new(Self {
            hedge,
            after: Cell::new(after),
            latencies,
            left: RefCell::default(),
            counters,
        })
    }

    /// How long an attempt is given before a second one goes out.
    pub fn after(&self) -> Option<Duration> {
        self.after.get()
    }

    /// Whether it matters what an attempt took.
    pub fn learns(&self) -> bool {
        self.latencies.is_some()
    }

    /// An attempt that could have had a second one beside it took so long.
    pub fn record(&self, pod: &Identity, took: Duration, end: End) {
        if let Some(latencies) = &self.latencies {
            latencies.borrow_mut().record(pod, took, end);
        }
    }

    /// A pod's request was given up that it had since then, and another pod's answer taken where there was one. For how
    /// long it has left its requests without an answer, one after the other: each alone is given up too early to tell a
    /// pod that hangs from one that is slow.
    pub fn give_up(&self, pod: &Identity, since: Instant, answered: u64, now: Instant) -> Duration {
        let mut left = self.left.borrow_mut();
        let first = Left { since, answered };
        let last = *left
            .entry(pod.clone())
            .and_modify(|last| {
                if last.answered != answered {
                    *last = first;
                }
            })
            .or_insert(first);
        now.saturating_duration_since(last.since)
    }

    /// Learns anew, and forgets what was long ago. To be called now and then.
    pub fn renew(&self, now: Instant) {
        self.left
            .borrow_mut()
            .retain(|_, left| now.saturating_duration_since(left.since) < FORGOTTEN_AFTER);
        if let (Some(latencies), Hedge::Quantile { percent, least }) = (&self.latencies, self.hedge)
        {
            let mut latencies = latencies.borrow_mut();
            latencies.renew(now);
            let after = latencies.quantile(percent).map(|time| time.max(least));
            self.after.set(after);
            self.counters.set_hedge_after(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::TargetStats;

    fn pod() -> Identity {
        Identity {
            address: ([10, 0, 0, 1], 80).into(),
            uid: None,
        }
    }

    fn hedging(hedge: &str, now: Instant) -> (Rc<Hedging>, Arc<TargetStats>) {
        let stats = Arc::new(TargetStats::new(1));
        let hedge = hedge.parse().unwrap();
        (
            Hedging::new(hedge, Counters::new(stats.clone(), 0), now),
            stats,
        )
    }

    #[test]
    fn a_time_that_is_learnt_is_known_once_there_is_enough_to_learn_from() {
        let start = Instant::now();
        let (hedging, stats) = hedging("p90:min=5ms", start);
        assert_eq!((hedging.after(), stats.hedge_after()), (None, None));
        let feed = |millis| {
            for _ in 0..200 {
                hedging.record(&pod(), Duration::from_millis(millis), End::Answered);
            }
        };
        feed(1);
        assert_eq!(hedging.after(), None);
        hedging.renew(start);
        let least = Some(Duration::from_millis(5));
        assert_eq!((hedging.after(), stats.hedge_after()), (least, least));
        feed(100);
        hedging.renew(start);
        assert!(hedging.after() >= Some(Duration::from_millis(100)));
        hedging.renew(start + Duration::from_secs(20));
        assert_eq!((hedging.after(), stats.hedge_after()), (None, None));
    }

    #[test]
    fn a_pod_is_silent_for_as_long_as_it_answers_none_of_its_requests() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let (hedging, _) = hedging("10ms", start);
        // What is given up, since when it was there, what the pod had answered by then, and the silence in all.
        for (now, since, answered, silent) in [
            (20, 0, 7, 20),
            (500, 480, 7, 500),
            (900, 880, 7, 900),
            // It has answered something since.
            (1200, 1180, 8, 20),
            (1500, 1480, 8, 320),
        ] {
            let found = hedging.give_up(&pod(), at(since), answered, at(now));
            assert_eq!(found, Duration::from_millis(silent), "{now}");
        }
        hedging.renew(at(61_000));
        let later = hedging.give_up(&pod(), at(61_000), 8, at(61_020));
        assert_eq!(later, Duration::from_millis(59_840));
        hedging.renew(at(61_180));
        let later = hedging.give_up(&pod(), at(62_000), 8, at(62_020));
        assert_eq!(later, Duration::from_millis(20));
    }
}
