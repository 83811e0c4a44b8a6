//! A discrete-event simulation that runs the real pickers: pods are queues, sidecars pick as workers do, and time is what
//! the next event says. The same seed gives the same figures.
//!
//! Policies alone are compared: nothing is sent again, and no pod is ejected.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use podrobin::balance::{Ask, Balancer, Candidate, Picker};
use podrobin::config::Policy;
use podrobin::endpoint::Identity;
use podrobin::stats::{Count, EndpointStats, Outcome, TargetStats};

/// A pod, as it is until something is changed about it: 32 requests at a time, 10 ms each on average.
#[derive(Clone, Debug)]
pub struct Pod {
    pub weight: u32,
    /// Times as long as others take.
    pub slowness: f64,
    /// Stands still so long, that often.
    pub pause: Option<Pause>,
    /// Joins then, and takes longer at first.
    pub cold: Option<Cold>,
    /// The share of requests that it fails, at once.
    pub failing: f64,
    /// From then on it takes requests and answers none.
    pub hangs_from: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub struct Pause {
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

#[derive(Clone, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub pods: Vec<Pod>,
    /// Those that the scene is about, by their place.
    pub odd: usize,
    pub sidecars: usize,
    /// Requests a second, all sidecars together.
    pub rate: f64,
    pub lasts: Duration,
}

/// What the clients of all sidecars saw, after a tenth of the time.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    /// Requests to the odd pods, as a part of an even share.
    pub odd: f64,
    /// Failed answers and those that did not come, of all.
    pub failed: f64,
}

const PLACES: usize = 32;
const MEAN: f64 = 0.010;
/// Of the logarithm of how long a request takes: the slowest of a hundred takes three times the mean.
const SPREAD: f64 = 0.5;
const FAILURE: Duration = Duration::from_millis(1);
/// A client waits so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Users, whose requests have keys.
const KEYS: u64 = 10_000;

impl Pod {
    pub fn usual() -> Self {
        Self {
            weight: 1,
            slowness: 1.0,
            pause: None,
            cold: None,
            failing: 0.0,
            hangs_from: None,
        }
    }

    fn joins(&self) -> Duration {
        self.cold.map_or(Duration::ZERO, |cold| cold.joins)
    }
}

impl Scene {
    /// So many pods with 200 requests a second each, of which the first `odd` are like this one.
    pub fn new(name: &'static str, pods: usize, odd: usize, pod: &Pod) -> Self {
        let usual = std::iter::repeat_n(Pod::usual(), pods - odd);
        let count = u32::try_from(pods).unwrap_or(u32::MAX);
        Self {
            name,
            pods: std::iter::repeat_n(pod.clone(), odd).chain(usual).collect(),
            odd,
            sidecars: 1,
            rate: 200.0 * f64::from(count),
            lasts: Duration::from_secs(20),
        }
    }

    pub fn run(&self, policy: &Policy, seed: u64) -> Seen {
        fastrand::seed(seed);
        Run::new(self, policy, seed).finish()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Joined,
    Arrived,
    Ended(Request, Ending),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    sidecar: usize,
    pod: usize,
    began: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Answered,
    Failed,
}

/// A pod's queue: when each of its places is free again.
#[derive(Debug)]
struct Queue {
    free: BinaryHeap<Reverse<Duration>>,
}

#[derive(Debug)]
struct Sidecar {
    balancer: Balancer,
    picker: Picker,
    stats: Vec<Arc<EndpointStats>>,
    totals: Arc<TargetStats>,
}

struct Run<'a> {
    scene: &'a Scene,
    rng: fastrand::Rng,
    epoch: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Tells apart events of one moment.
    numbered: u64,
    queues: Vec<Queue>,
    sidecars: Vec<Sidecar>,
    latencies: Vec<Duration>,
    failed: u64,
    odd: u64,
}

impl<'a> Run<'a> {
    fn new(scene: &'a Scene, policy: &Policy, seed: u64) -> Self {
        let epoch = Instant::now();
        let mut run = Self {
            scene,
            rng: fastrand::Rng::with_seed(seed),
            epoch,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            numbered: 0,
            queues: scene.pods.iter().map(|_| Queue::new()).collect(),
            sidecars: (0..scene.sidecars)
                .map(|_| Sidecar::new(policy, scene.pods.len(), epoch))
                .collect(),
            latencies: Vec::new(),
            failed: 0,
            odd: 0,
        };
        for pod in &scene.pods {
            run.at(pod.joins(), Event::Joined);
        }
        run.at(Duration::ZERO, Event::Arrived);
        run
    }

    fn at(&mut self, moment: Duration, event: Event) {
        self.numbered += 1;
        self.events.push(Reverse((moment, self.numbered, event)));
    }

    fn finish(mut self) -> Seen {
        while let Some(Reverse((moment, _, event))) = self.events.pop() {
            if moment > self.scene.lasts {
                break;
            }
            self.now = moment;
            match event {
                Event::Joined => self.update(),
                Event::Arrived => self.arrive(),
                Event::Ended(request, ending) => self.end(&request, ending),
            }
        }
        self.seen()
    }

    fn update(&mut self) {
        let candidates = |sidecar: &Sidecar| -> Vec<Candidate> {
            let pods = self.scene.pods.iter().zip(&sidecar.stats).enumerate();
            pods.filter(|(_, (pod, _))| pod.joins() <= self.now)
                .map(|(member, (pod, stats))| Candidate {
                    member,
                    identity: identity(member),
                    trial: false,
                    weight: pod.weight,
                    ramp: None,
                    stats: stats.clone(),
                })
                .collect()
        };
        for sidecar in &mut self.sidecars {
            let candidates = candidates(sidecar);
            sidecar.picker = sidecar.balancer.picker(&candidates);
        }
    }

    fn arrive(&mut self) {
        let until_next = -self.rng.f64().max(1e-12).ln() / self.scene.rate;
        self.at(
            self.now + Duration::from_secs_f64(until_next),
            Event::Arrived,
        );
        let index = self.rng.usize(..self.sidecars.len());
        let key = self.rng.u64(..KEYS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sidecar = &self.sidecars[index];
        sidecar.totals.shard(0).add(Count::RequestStarted);
        let now = self.epoch + self.now;
        let ask = Ask {
            key: Some(key),
            now: &|| now,
        };
        let Some(pick) = sidecar.picker.pick(&ask, |_| false) else {
            return;
        };
        sidecar.stats[pick.member].shard(0).start();
        let request = Request {
            sidecar: index,
            pod: pick.member,
            began: self.now,
        };
        let (moment, ending) = self.serve(pick.member);
        // Whoever has waited for so long does not wait for the rest.
        let patience = self.now + PATIENCE;
        let (moment, ending) = match moment.filter(|moment| *moment <= patience) {
            Some(moment) => (moment, ending),
            None => (patience, Ending::Failed),
        };
        self.at(moment, Event::Ended(request, ending));
    }

    /// When a pod answers a request that comes now, and how.
    fn serve(&mut self, index: usize) -> (Option<Duration>, Ending) {
        let pod = &self.scene.pods[index];
        if pod.hangs_from.is_some_and(|from| from <= self.now) {
            return (None, Ending::Failed);
        }
        if self.rng.f64() < pod.failing {
            return (Some(self.now + FAILURE), Ending::Failed);
        }
        let normal = (-2.0 * self.rng.f64().max(1e-12).ln()).sqrt() * (TAU * self.rng.f64()).cos();
        let work = MEAN * (SPREAD * normal - SPREAD * SPREAD / 2.0).exp() * pod.slowness;
        let moment = self.queues[index].serve(pod, self.now, work);
        (Some(moment), Ending::Answered)
    }

    fn end(&mut self, request: &Request, ending: Ending) {
        let sidecar = &self.sidecars[request.sidecar];
        let took = self.now - request.began;
        let stats = &sidecar.stats[request.pod];
        stats.shard(0).end();
        sidecar.totals.shard(0).add(Count::RequestEnded);
        if let Some(latency) = stats.latency() {
            let outcome = match ending {
                Ending::Answered => Outcome::Answered,
                Ending::Failed => Outcome::Failed,
            };
            latency.observe(outcome, took, self.epoch + self.now);
        }
        if request.began < self.scene.lasts / 10 {
            return;
        }
        self.latencies.push(took);
        self.failed += u64::from(ending == Ending::Failed);
        self.odd += u64::from(request.pod < self.scene.odd);
    }

    fn seen(mut self) -> Seen {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let quantile = |per_mille: usize| self.latencies.get(count * per_mille / 1000).copied();
        let part = |of: u64| of as f64 / count.max(1) as f64;
        let even = self.scene.odd as f64 / self.scene.pods.len() as f64;
        Seen {
            p50: quantile(500).unwrap_or_default(),
            p99: quantile(990).unwrap_or_default(),
            p999: quantile(999).unwrap_or_default(),
            odd: part(self.odd) / even.max(f64::MIN_POSITIVE),
            failed: part(self.failed),
        }
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            free: std::iter::repeat_n(Reverse(Duration::ZERO), PLACES).collect(),
        }
    }

    /// When `work` that comes now is done: once a place is free, and not while the pod stands still.
    fn serve(&mut self, pod: &Pod, now: Duration, work: f64) -> Duration {
        let Reverse(free) = self.free.pop().unwrap_or_default();
        let begins = free.max(now);
        let slowness = pod
            .cold
            .filter(|cold| begins < cold.joins + cold.lasts)
            .map_or(1.0, |cold| cold.slowness);
        let mut ends = begins + Duration::from_secs_f64(work * slowness);
        if let Some(pause) = pod.pause {
            let mut next = pause.first;
            while next + pause.lasts <= begins {
                next += pause.every;
            }
            if next <= begins {
                ends += next + pause.lasts - begins;
                next += pause.every;
            }
            while next < ends {
                ends += pause.lasts;
                next += pause.every;
            }
        }
        self.free.push(Reverse(ends));
        ends
    }
}

impl Sidecar {
    fn new(policy: &Policy, pods: usize, epoch: Instant) -> Self {
        let totals = Arc::new(TargetStats::new(1));
        let mut balancer = Balancer::new(policy, &totals);
        Self {
            picker: balancer.picker(&[]),
            stats: (0..pods).map(|_| balancer.stats(1, epoch).into()).collect(),
            balancer,
            totals,
        }
    }
}

fn identity(pod: usize) -> Identity {
    let port = u16::try_from(pod + 1).unwrap_or(u16::MAX);
    Identity {
        address: ([10, 0, 0, 1], port).into(),
        uid: None,
    }
}
