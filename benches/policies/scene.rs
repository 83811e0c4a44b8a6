//! A discrete-event simulation that runs the real pickers and the real membership, with its detectors: pods are queues,
//! sidecars pick and report as workers do, and time is what the next event says. The same seed gives the same figures.
//!
//! Nothing is sent again, and no pod is checked.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use podrobin::config::Policy;
use podrobin::load_report::LoadReport;

use super::pod::{Pod, Served, Server};
use super::sidecar::{Attempt, Ending, Guards, Sidecar};

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
#[derive(Clone, Debug)]
pub struct Seen {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    /// Requests to the odd pods, as a part of an even share.
    pub odd: f64,
    /// The same in each second from the beginning on.
    pub odd_by_second: Vec<f64>,
    /// Failed answers and those that did not come, of all.
    pub failed: f64,
}

/// A client waits so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Users, whose requests have keys.
const KEYS: u64 = 10_000;

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

    pub fn run(&self, policy: &Policy, guards: Guards, seed: u64) -> Seen {
        // That of the pickers.
        fastrand::seed(seed);
        Run::new(self, policy, guards, seed).finish()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A pod has joined.
    Listed,
    Arrived,
    /// A sidecar's membership has something to do.
    Due(usize),
    /// The request in this place is over.
    Ended(usize),
}

#[derive(Debug)]
struct Request {
    sidecar: usize,
    attempt: Attempt,
    began: Duration,
    ending: Ending,
    report: Option<LoadReport>,
}

struct Run<'a> {
    scene: &'a Scene,
    rng: fastrand::Rng,
    epoch: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Tells apart events of one moment.
    numbered: u64,
    servers: Vec<Server>,
    /// With the moment of its next event of its own.
    sidecars: Vec<(Sidecar, Option<Duration>)>,
    /// Under way, each in the place that its event names.
    requests: Vec<Option<Request>>,
    vacant: Vec<usize>,
    latencies: Vec<Duration>,
    failed: u64,
    /// Of those in `latencies`, and of each second, with all of that second.
    odd: u64,
    seconds: Vec<(u64, u64)>,
}

impl<'a> Run<'a> {
    fn new(scene: &'a Scene, policy: &Policy, guards: Guards, seed: u64) -> Self {
        let epoch = Instant::now();
        let sidecar = |_| (Sidecar::new(policy, guards, epoch), None);
        let mut run = Self {
            scene,
            rng: fastrand::Rng::with_seed(seed),
            epoch,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            numbered: 0,
            servers: scene.pods.iter().cloned().map(Server::new).collect(),
            sidecars: (0..scene.sidecars).map(sidecar).collect(),
            requests: Vec::new(),
            vacant: Vec::new(),
            latencies: Vec::new(),
            failed: 0,
            odd: 0,
            seconds: Vec::new(),
        };
        let joins: BTreeSet<Duration> = scene.pods.iter().map(Pod::joins).collect();
        for moment in joins {
            run.at(moment, Event::Listed);
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
                Event::Listed => self.list(),
                Event::Arrived => self.arrive(),
                Event::Due(sidecar) => self.expire(sidecar),
                Event::Ended(place) => self.end(place),
            }
        }
        self.seen()
    }

    fn list(&mut self) {
        let now = self.epoch + self.now;
        for index in 0..self.sidecars.len() {
            let (sidecar, _) = &mut self.sidecars[index];
            sidecar.list(&self.scene.pods, self.now, now);
            self.plan(index);
        }
    }

    fn expire(&mut self, index: usize) {
        let (sidecar, due) = &mut self.sidecars[index];
        // One that was planned before an earlier one.
        if *due != Some(self.now) {
            return;
        }
        *due = None;
        sidecar.expire(self.epoch + self.now);
        self.plan(index);
    }

    /// Sees to it that a sidecar's next expiry is an event.
    fn plan(&mut self, index: usize) {
        let (sidecar, due) = &mut self.sidecars[index];
        let next = sidecar.next_expiry();
        let next = next.map(|next| (next - self.epoch).max(self.now));
        if let Some(next) = next
            && due.is_none_or(|due| next < due)
        {
            *due = Some(next);
            self.at(next, Event::Due(index));
        }
    }

    fn arrive(&mut self) {
        let until_next = -self.rng.f64().max(1e-12).ln() / self.scene.rate;
        let next = self.now + Duration::from_secs_f64(until_next);
        self.at(next, Event::Arrived);
        let index = self.rng.usize(..self.sidecars.len());
        let key = self.rng.u64(..KEYS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (sidecar, _) = &self.sidecars[index];
        let Some(attempt) = sidecar.send(key, self.epoch + self.now) else {
            return;
        };
        let server = &mut self.servers[attempt.pod];
        let (moment, ending) = match server.serve(self.now, &mut self.rng) {
            Served::Answered(moment) => (Some(moment), Ending::Answered),
            Served::Failed(moment) => (Some(moment), Ending::Failed),
            Served::Never => (None, Ending::GivenUp),
        };
        // Whoever has waited for so long does not wait for the rest.
        let patience = self.now + PATIENCE;
        let (moment, ending) = match moment.filter(|moment| *moment <= patience) {
            Some(moment) => (moment, ending),
            None => (patience, Ending::GivenUp),
        };
        let request = Request {
            sidecar: index,
            report: (ending != Ending::GivenUp).then(|| server.report()),
            attempt,
            began: self.now,
            ending,
        };
        let place = self.vacant.pop().unwrap_or(self.requests.len());
        match self.requests.get_mut(place) {
            Some(vacant) => *vacant = Some(request),
            None => self.requests.push(Some(request)),
        }
        self.at(moment, Event::Ended(place));
    }

    fn end(&mut self, place: usize) {
        let Some(request) = self.requests[place].take() else {
            return;
        };
        self.vacant.push(place);
        let odd = u64::from(request.attempt.pod < self.scene.odd);
        let (sidecar, _) = &mut self.sidecars[request.sidecar];
        let now = self.epoch + self.now;
        let report = request.report.as_ref();
        if sidecar.end(request.attempt, request.ending, report, now) {
            self.plan(request.sidecar);
        }
        let second = usize::try_from(request.began.as_secs()).unwrap_or(0);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, (0, 0));
        }
        let (of_odd, of_all) = &mut self.seconds[second];
        *of_odd += odd;
        *of_all += 1;
        if request.began < self.scene.lasts / 10 {
            return;
        }
        self.latencies.push(self.now - request.began);
        self.failed += u64::from(request.ending != Ending::Answered);
        self.odd += odd;
    }

    fn seen(mut self) -> Seen {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let quantile = |per_mille: usize| self.latencies.get(count * per_mille / 1000).copied();
        let part = |of: u64, all: u64| of as f64 / all.max(1) as f64;
        let even = self.scene.odd as f64 / self.scene.pods.len() as f64;
        let share = |of, all| part(of, all) / even.max(f64::MIN_POSITIVE);
        let seconds = self.seconds.iter().map(|(of, all)| share(*of, *all));
        Seen {
            p50: quantile(500).unwrap_or_default(),
            p99: quantile(990).unwrap_or_default(),
            p999: quantile(999).unwrap_or_default(),
            odd: share(self.odd, count as u64),
            odd_by_second: seconds.collect(),
            failed: part(self.failed, count as u64),
        }
    }
}
