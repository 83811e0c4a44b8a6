//! The ejection detector: from outcomes that workers report to who should get no traffic, and for how long.
//!
//! ```text
//! Healthy ──5 failures in a row──> Ejected ──time passes──> Trial ──answered──> Healthy
//!                                     ^                        │
//!                                     └──── failed, twice as long
//! ```
//! Pure: the clock is handed in, and nothing is known of sockets. Membership owns the one [`Detector`] of a target.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Identity};
use crate::error::{Flag, Kind};

/// What a worker tells membership about one attempt.
#[derive(Clone, Debug)]
pub struct Fact {
    pub endpoint: Arc<Endpoint>,
    pub outcome: Outcome,
    /// When the attempt began.
    pub started: Instant,
    /// The pod's host answered that nobody listens on the port (and not: the host could not be reached).
    pub refused: bool,
}

/// How an attempt ended, as far as the pod's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response's head came. Reported only of endpoints under suspicion.
    Answered,
    /// The pod failed it, in a way that [`Kind::row`] blames on pods.
    Failed(Kind),
    /// The client left after the pod had been silent for longer than [`SILENCE`].
    GaveUp {
        /// What the others are known to have answered since the request began, while this pod answered nothing.
        others: u64,
    },
}

/// A client that leaves earlier says nothing about the pod.
pub const SILENCE: Duration = Duration::from_secs(1);

/// Failures in a row before an endpoint is ejected.
pub const THRESHOLD: u32 = 5;

const FIRST_EJECTION: Duration = Duration::from_secs(1);
pub const LONGEST_EJECTION: Duration = Duration::from_secs(30);

/// An endpoint that has stayed well for this long is ejected for [`FIRST_EJECTION`] again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Keeps what is held against each endpoint.
#[derive(Debug, Default)]
pub struct Detector {
    tracks: HashMap<Identity, Track>,
}

#[derive(Clone, Debug, Default)]
struct Track {
    verdict: Verdict,
    /// Failures since the last answer, hard ones and clients that gave up.
    hard: u32,
    gave_up: u32,
    /// What the others had answered when the first of the row's silent requests began.
    others_at_first: u64,
    /// Ejections that have not been forgiven.
    ejections: u32,
    returned: Option<Instant>,
    /// When the last ejection ends or has ended: what began before decides nothing.
    counts_from: Option<Instant>,
}

/// Whether an endpoint gets traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Healthy,
    Ejected {
        until: Instant,
        cause: Cause,
    },
    Trial {
        cause: Cause,
    },
}

/// Why an endpoint was ejected: what the last of its failures was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Failed(Kind),
    Silent,
}

/// What the detector is told about the rest of the set with each fact.
#[derive(Clone, Copy, Debug)]
pub struct Peers {
    /// Endpoints that the list would give traffic to, this one included.
    pub used: usize,
    /// Requests that all the others have answered so far.
    pub answered: u64,
}

impl Detector {
    pub fn verdict(&self, identity: &Identity) -> Verdict {
        self.tracks
            .get(identity)
            .map(|track| track.verdict.clone())
            .unwrap_or_default()
    }

    /// Whether a success of this endpoint would be news.
    pub fn is_suspect(&self, identity: &Identity) -> bool {
        self.tracks.get(identity).is_some_and(|track| {
            track.verdict != Verdict::Healthy || track.hard + track.gave_up > 0
        })
    }

    /// Takes in how an attempt that began at `started` ended. True if a verdict changed.
    pub fn observe(
        &mut self,
        identity: &Identity,
        outcome: Outcome,
        started: Instant,
        peers: Peers,
        now: Instant,
    ) -> bool {
        let ejected = self.ejected();
        let Some(track) = self.track(identity, outcome) else {
            return false;
        };
        // Requests from before the ejection still end, during it and after.
        if track.counts_from.is_some_and(|from| started < from) {
            return false;
        }
        match (&track.verdict, outcome) {
            (Verdict::Ejected { .. }, _) => false,
            (Verdict::Trial { .. }, Outcome::Answered) => {
                track.bring_back(now);
                true
            }
            (Verdict::Healthy, Outcome::Answered) => {
                track.clear();
                if track.is_clean(now) {
                    self.tracks.remove(identity);
                }
                false
            }
            (Verdict::Trial { .. }, outcome) => {
                track.count(outcome, peers);
                track.eject(Cause::of(outcome), now);
                true
            }
            (Verdict::Healthy, outcome) => {
                track.count(outcome, peers);
                let eject = track.is_over(peers) && (ejected + 1) * 2 <= peers.used;
                if eject {
                    track.eject(Cause::of(outcome), now);
                }
                eject
            }
        }
    }

    /// Puts on trial whoever has served its time. True if a verdict changed.
    pub fn expire(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for track in self.tracks.values_mut() {
            if let Verdict::Ejected { until, cause } = track.verdict
                && until <= now
            {
                track.verdict = Verdict::Trial { cause };
                changed = true;
            }
        }
        changed
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.tracks
            .values()
            .filter_map(|track| match track.verdict {
                Verdict::Ejected { until, .. } => Some(until),
                _ => None,
            })
            .min()
    }

    /// Forgets who is no longer used, and sets free whoever is one too many for the set that is left: never more than
    /// half of it is without traffic.
    pub fn retain(&mut self, used: &HashSet<&Identity>, now: Instant) {
        self.tracks
            .retain(|identity, track| used.contains(identity) && !track.is_clean(now));
        let mut held: Vec<(&Identity, &mut Track)> = self
            .tracks
            .iter_mut()
            .filter(|(_, track)| track.verdict != Verdict::Healthy)
            .collect();
        let most = used.len() / 2;
        let surplus = held.len().saturating_sub(most);
        // Those whose time ends first are let go first; the identity makes the order total.
        held.sort_by_key(|(identity, track)| match track.verdict {
            Verdict::Ejected { until, .. } => (Some(until), (*identity).clone()),
            _ => (None, (*identity).clone()),
        });
        for (_, track) in held.into_iter().take(surplus) {
            track.bring_back(now);
            track.counts_from = Some(now);
        }
    }

    /// Endpoints without their full traffic: ejected or on trial.
    fn ejected(&self) -> usize {
        self.tracks
            .values()
            .filter(|track| track.verdict != Verdict::Healthy)
            .count()
    }

    /// The endpoint's track; an answer makes none where there is none.
    fn track(&mut self, identity: &Identity, outcome: Outcome) -> Option<&mut Track> {
        if outcome == Outcome::Answered {
            self.tracks.get_mut(identity)
        } else {
            Some(self.tracks.entry(identity.clone()).or_default())
        }
    }
}

impl Track {
    fn clear(&mut self) {
        self.hard = 0;
        self.gave_up = 0;
    }

    fn bring_back(&mut self, now: Instant) {
        self.clear();
        self.verdict = Verdict::Healthy;
        self.returned = Some(now);
    }

    /// Nothing is held against the endpoint, so it needs no track.
    fn is_clean(&self, now: Instant) -> bool {
        self.verdict == Verdict::Healthy
            && self.hard + self.gave_up == 0
            && (self.ejections == 0 || self.is_forgiven(now))
    }

    fn is_forgiven(&self, now: Instant) -> bool {
        self.returned
            .is_some_and(|returned| now.saturating_duration_since(returned) >= FORGIVEN_AFTER)
    }

    fn count(&mut self, outcome: Outcome, peers: Peers) {
        match outcome {
            Outcome::Answered => {}
            Outcome::Failed(_) => self.hard = self.hard.saturating_add(1),
            Outcome::GaveUp { others } => {
                let at_start = peers.answered.saturating_sub(others);
                if self.gave_up == 0 || at_start < self.others_at_first {
                    self.others_at_first = at_start;
                }
                self.gave_up = self.gave_up.saturating_add(1);
            }
        }
    }

    /// Enough failures in a row. Clients that gave up count only where the others answered meanwhile, each as often
    /// on average: else it is the Service that is slow, as a long poll is, and not the pod.
    fn is_over(&self, peers: Peers) -> bool {
        let others = peers.used.saturating_sub(1) as u64;
        let answered = peers.answered.saturating_sub(self.others_at_first);
        let others_answer = others > 0 && answered >= u64::from(THRESHOLD) * others;
        self.hard >= THRESHOLD || (others_answer && self.hard + self.gave_up >= THRESHOLD)
    }

    fn eject(&mut self, cause: Cause, now: Instant) {
        if self.is_forgiven(now) {
            self.ejections = 0;
        }
        let time = FIRST_EJECTION
            .saturating_mul(1 << self.ejections.min(5))
            .min(LONGEST_EJECTION);
        self.ejections = self.ejections.saturating_add(1);
        self.returned = None;
        let until = now + time;
        self.verdict = Verdict::Ejected { until, cause };
        self.counts_from = Some(until);
        self.clear();
    }
}

impl Cause {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed(kind) => Self::Failed(kind),
            Outcome::GaveUp { .. } | Outcome::Answered => Self::Silent,
        }
    }

    /// The flag of the failure that tipped the balance.
    pub fn flag(self) -> Flag {
        match self {
            Self::Failed(kind) => kind.row().flag,
            Self::Silent => Flag::Ut,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(kind) => write!(
                f,
                "{THRESHOLD} failures in a row, the last: {}",
                kind.row().name
            ),
            Self::Silent => write!(
                f,
                "{THRESHOLD} failures in a row, the last: silent until its client gave up, while other pods answer"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
