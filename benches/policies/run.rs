//! A discrete-event simulation that runs the real pickers and the real membership, with its detectors, and the real rules
//! for what is sent again: pods are queues, sidecars pick and report as workers do, and time is what the next event says.
//! The same seed gives the same figures.
//!
//! No pod is checked. What a pod has begun it goes on with, whoever has given it up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use podrobin::config::Policy;

use super::guards::Guards;
use super::pod::{Pod, Server};
use super::request::Request;
use super::scene::{Counts, Scene, Seen};
use super::sidecar::{Ending, Sidecar};

/// A client waits so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Users, whose requests have keys.
const KEYS: u64 = 10_000;
/// How often a worker looks what is usual.
const RENEW_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A pod has joined.
    Listed,
    Arrived,
    /// A sidecar's membership has something to do.
    Due(usize),
    /// Its worker looks what is usual.
    Renewed(usize),
    /// The pod of this request's attempt is done with it.
    Served(u64, u32),
    /// The attempt has been alone for long enough.
    Alone(u64, u32),
    /// The request's client has waited for long enough.
    Left(u64),
}

pub struct Run<'a> {
    pub(super) scene: &'a Scene,
    pub(super) rng: fastrand::Rng,
    epoch: Instant,
    pub(super) now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Tells apart events of one moment.
    numbered: u64,
    pub(super) servers: Vec<Server>,
    /// With the moment of its next event of its own.
    pub(super) sidecars: Vec<(Sidecar, Option<Duration>)>,
    /// Under way, in the order in which they came.
    pub(super) requests: BTreeMap<u64, Request>,
    came: u64,
    pub(super) counts: Counts,
}

impl<'a> Run<'a> {
    pub fn new(scene: &'a Scene, policy: &Policy, guards: Guards, seed: u64) -> Self {
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
            requests: BTreeMap::new(),
            came: 0,
            counts: Counts::default(),
        };
        let joins: BTreeSet<Duration> = scene.pods.iter().map(Pod::joins).collect();
        for moment in joins {
            run.at(moment, Event::Listed);
        }
        for index in 0..run.sidecars.len() {
            if run.sidecars[index].0.hedges() {
                run.at(Duration::ZERO, Event::Renewed(index));
            }
        }
        run.at(Duration::ZERO, Event::Arrived);
        run
    }

    pub(super) fn at(&mut self, moment: Duration, event: Event) {
        self.numbered += 1;
        self.events.push(Reverse((moment, self.numbered, event)));
    }

    pub(super) fn instant(&self) -> Instant {
        self.epoch + self.now
    }

    pub fn finish(mut self) -> Seen {
        while let Some(Reverse((moment, _, event))) = self.events.pop() {
            if moment > self.scene.lasts {
                break;
            }
            self.now = moment;
            match event {
                Event::Listed => self.list(),
                Event::Arrived => self.arrive(),
                Event::Due(sidecar) => self.expire(sidecar),
                Event::Renewed(sidecar) => self.renew(sidecar),
                Event::Served(request, attempt) => self.served(request, attempt),
                Event::Alone(request, attempt) => self.hedge(request, attempt),
                Event::Left(request) => self.leave(request),
            }
        }
        self.counts.seen(self.scene)
    }

    fn list(&mut self) {
        let now = self.instant();
        for index in 0..self.sidecars.len() {
            let (sidecar, _) = &mut self.sidecars[index];
            sidecar.list(&self.scene.pods, self.now, now);
            self.follow(index);
        }
    }

    fn expire(&mut self, index: usize) {
        let now = self.instant();
        let (sidecar, due) = &mut self.sidecars[index];
        // One that was planned before an earlier one.
        if *due != Some(self.now) {
            return;
        }
        *due = None;
        sidecar.expire(now);
        self.follow(index);
    }

    fn renew(&mut self, index: usize) {
        self.sidecars[index].0.renew(self.instant());
        self.at(self.now + RENEW_EVERY, Event::Renewed(index));
    }

    /// Sees to it that a sidecar's next expiry is an event, and takes back what waits at pods that turned out to be silent.
    pub(super) fn follow(&mut self, index: usize) {
        let (sidecar, due) = &mut self.sidecars[index];
        let next = sidecar.next_expiry();
        let next = next.map(|next| (next - self.epoch).max(self.now));
        let silent = sidecar.take_silent();
        if let Some(next) = next
            && due.is_none_or(|due| next < due)
        {
            *due = Some(next);
            self.at(next, Event::Due(index));
        }
        if !silent.is_empty() {
            self.take_back(index, &silent);
        }
    }

    fn take_back(&mut self, index: usize, silent: &[usize]) {
        let now = self.instant();
        let mut taken = Vec::new();
        for (id, request) in &mut self.requests {
            if request.sidecar != index {
                continue;
            }
            for under_way in &mut request.under_way {
                let waits = silent.contains(&under_way.attempt.pod);
                if !waits || std::mem::replace(&mut under_way.forsaken, true) {
                    continue;
                }
                let (sidecar, _) = &mut self.sidecars[index];
                if sidecar.takes_back(&under_way.attempt, request.retries, now) {
                    taken.push((*id, under_way.number));
                }
            }
        }
        for (id, number) in taken {
            self.end(id, number, Ending::TakenBack);
            self.go_on(id);
        }
    }

    fn arrive(&mut self) {
        let until_next = -self.rng.f64().max(1e-12).ln() / self.scene.rate;
        let next = self.now + Duration::from_secs_f64(until_next);
        self.at(next, Event::Arrived);
        let index = self.rng.usize(..self.sidecars.len());
        let key = self.rng.u64(..KEYS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let now = self.instant();
        let (sidecar, _) = &mut self.sidecars[index];
        sidecar.begin(now);
        self.came += 1;
        let request = Request::new(index, key, self.now);
        self.requests.insert(self.came, request);
        self.at(self.now + PATIENCE, Event::Left(self.came));
        self.send(self.came);
    }
}
