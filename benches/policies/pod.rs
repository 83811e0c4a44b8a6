//! What a pod makes of its requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::time::Duration;

use podrobin::load_report::LoadReport;

/// A pod, as it is until something is changed about it: 32 requests at a time, 10 ms each on average.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Times as long as others take.
    pub slowness: f64,
    /// Stands still now and then.
    pub pause: Option<Spells>,
    /// Takes so many times as long while its neighbours are noisy.
    pub noise: Option<(Spells, f64)>,
    /// Joins then, and takes longer at first.
    pub cold: Option<Cold>,
    /// The share of requests that it fails, at once.
    pub failing: f64,
    /// From then on it takes requests and answers none.
    pub hangs_from: Option<Duration>,
}

/// So long, that often.
#[derive(Clone, Copy, Debug)]
pub struct Spells {
    pub every: Duration,
    pub lasts: Duration,
    pub first: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct Cold {
    pub joins: Duration,
    pub lasts: Duration,
    /// Times as long as it takes later.
    pub slowness: f64,
}

/// When a pod is done with a request, if ever.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    Answered(Duration),
    Failed(Duration),
    Never,
}

/// A pod at work.
#[derive(Debug)]
pub struct Server {
    pod: Pod,
    /// When each of its places is free again.
    free: BinaryHeap<Reverse<Duration>>,
    /// What it has done in the second that is under way, and in the last one.
    doing: Work,
    done: Work,
}

/// What came in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    second: u64,
    requests: u32,
    errors: u32,
    /// Of all places together.
    busy: Duration,
}

const PLACES: u32 = 32;
const MEAN: f64 = 0.010;
/// Of the logarithm of how long a request takes: the slowest of a hundred takes three times the mean.
const SPREAD: f64 = 0.5;
const FAILURE: Duration = Duration::from_millis(1);

impl Pod {
    pub fn usual() -> Self {
        Self {
            slowness: 1.0,
            pause: None,
            noise: None,
            cold: None,
            failing: 0.0,
            hangs_from: None,
        }
    }

    pub fn joins(&self) -> Duration {
        self.cold.map_or(Duration::ZERO, |cold| cold.joins)
    }

    /// Times as long as usual, for work that begins then.
    fn slowness(&self, begins: Duration) -> f64 {
        let cold = self
            .cold
            .filter(|cold| begins < cold.joins + cold.lasts)
            .map_or(1.0, |cold| cold.slowness);
        let noise = self
            .noise
            .filter(|(spells, _)| spells.ends(begins).is_some())
            .map_or(1.0, |(_, slowness)| slowness);
        self.slowness * cold * noise
    }
}

impl Spells {
    /// How long ago the last one began, if one has.
    fn since(&self, moment: Duration) -> Option<Duration> {
        let since = moment.checked_sub(self.first)?.as_nanos() % self.every.as_nanos();
        u64::try_from(since).ok().map(Duration::from_nanos)
    }

    /// When the spell ends that is on at this moment.
    fn ends(&self, moment: Duration) -> Option<Duration> {
        let since = self.since(moment).filter(|since| *since < self.lasts)?;
        Some(moment + self.lasts - since)
    }

    /// When the next one begins.
    fn next(&self, moment: Duration) -> Duration {
        let since = self.since(moment);
        since.map_or(self.first, |since| moment + self.every - since)
    }

    /// When `work` is done that begins at this moment and stands still in each spell.
    fn stretch(&self, begins: Duration, work: Duration) -> Duration {
        let runs = self.ends(begins).unwrap_or(begins);
        let mut next = self.next(begins);
        let mut ends = runs + work;
        while next < ends {
            ends += self.lasts;
            next += self.every;
        }
        ends
    }
}

impl Server {
    pub fn new(pod: Pod) -> Self {
        Self {
            pod,
            free: (0..PLACES).map(|_| Reverse(Duration::ZERO)).collect(),
            doing: Work::default(),
            done: Work::default(),
        }
    }

    /// Takes a request that comes now.
    pub fn serve(&mut self, now: Duration, rng: &mut fastrand::Rng) -> Served {
        if self.pod.hangs_from.is_some_and(|from| from <= now) {
            return Served::Never;
        }
        if rng.f64() < self.pod.failing {
            self.count(now, FAILURE, true);
            return Served::Failed(now + FAILURE);
        }
        let Reverse(free) = self.free.pop().unwrap_or_default();
        let begins = free.max(now);
        let work = MEAN * lognormal(rng) * self.pod.slowness(begins);
        let work = Duration::from_secs_f64(work);
        let ends = match &self.pod.pause {
            Some(pause) => pause.stretch(begins, work),
            None => begins + work,
        };
        self.free.push(Reverse(ends));
        self.count(now, ends - begins, false);
        Served::Answered(ends)
    }

    /// What it tells of its load: how much of its places was in use in the last second, and how much came.
    pub fn report(&self) -> LoadReport {
        LoadReport {
            application_utilization: self.done.busy.as_secs_f64() / f64::from(PLACES),
            rps_fractional: f64::from(self.done.requests),
            eps: f64::from(self.done.errors),
            ..LoadReport::default()
        }
    }

    fn count(&mut self, now: Duration, busy: Duration, failed: bool) {
        let second = now.as_secs();
        if self.doing.second != second {
            let fresh = Work {
                second,
                ..Work::default()
            };
            self.done = std::mem::replace(&mut self.doing, fresh);
        }
        self.doing.requests += 1;
        self.doing.errors += u32::from(failed);
        self.doing.busy += busy;
    }
}

/// With a mean of 1.
fn lognormal(rng: &mut fastrand::Rng) -> f64 {
    let normal = (-2.0 * rng.f64().max(1e-12).ln()).sqrt() * (TAU * rng.f64()).cos();
    (SPREAD * normal - SPREAD * SPREAD / 2.0).exp()
}
