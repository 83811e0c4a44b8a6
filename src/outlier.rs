//! The ejection detector: from outcomes that workers report to who should get no traffic, and for how long.
//!
//! ```text
//! Healthy ──failures in a row──> Ejected ──time passes──> Trial ──answered──> Healthy
//!                                   ^                        │
//!                                   └──── failed, twice as long
//! ```
//! At most so much of the set as is set is without traffic, but for pods that cannot even be connected to: those may be
//! more, while another is known to be well.
//!
//! Pure: the clock is handed in, and nothing is known of sockets. Membership owns the one [`Detector`] of a target.

mod cause;
mod comparison;
mod fact;
mod silence;
mod track;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::config::Ejection;
use crate::endpoint::Identity;
use crate::stats::Silence;

use silence::{is_silent, is_still_silent};

pub use cause::{Cause, Rule};
pub use comparison::stand_out;
pub use fact::{Fact, Outcome, SILENCE, Said};
pub use track::Verdict;

pub use silence::Others;
use track::Track;

/// Keeps what is held against each endpoint.
#[derive(Debug, Default)]
pub struct Detector {
    settings: Ejection,
    tracks: HashMap<Identity, Track>,
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
    pub fn new(settings: Ejection) -> Self {
        Self {
            settings,
            tracks: HashMap::new(),
        }
    }

    pub fn verdict(&self, identity: &Identity) -> Verdict {
        self.tracks
            .get(identity)
            .map(|track| track.verdict.clone())
            .unwrap_or_default()
    }

    /// Whether a success of this endpoint would be news.
    pub fn is_suspect(&self, identity: &Identity) -> bool {
        self.tracks
            .get(identity)
            .is_some_and(|track| track.verdict != Verdict::Healthy || track.has_failed())
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
        let settings = self.settings;
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
                track.eject(Cause::of(outcome), settings.first, settings, now);
                // The cause may have become one that the bound holds for.
                self.release(self.surplus(peers.used), now);
                true
            }
            (Verdict::Healthy, outcome) => {
                let Some(limit) = settings.consecutive else {
                    return false;
                };
                track.count(outcome, peers);
                if !track.is_over(limit, peers) {
                    return false;
                }
                let cause = Cause::of(outcome);
                let out_of_reach = cause.is_unreachable() && track.is_out_of_reach(limit, peers);
                self.condemn(identity, cause, out_of_reach, peers.used, now)
            }
        }
    }

    /// Ejects a pod that has failed often enough, if that may be; or lets those in again that were left out for its sake. True
    /// if a verdict changed.
    fn condemn(
        &mut self,
        identity: &Identity,
        cause: Cause,
        out_of_reach: bool,
        used: usize,
        now: Instant,
    ) -> bool {
        let well = self.well_others(identity, used);
        if self.has_room(used) || (well > 0 && out_of_reach) {
            let settings = self.settings;
            self.track_of(identity)
                .eject(cause, settings.first, settings, now);
            return true;
        }
        // Nobody is known to be well: those beyond the bound may be no worse.
        let surplus = self.ejected().saturating_sub(self.settings.room(used));
        well == 0 && self.release(surplus, now)
    }

    /// Ejects a pod that stands out from the others, within the bound: for `first` or as long as any pod at least, or longer
    /// if it was ejected before. True if it did.
    pub fn eject_outlier(
        &mut self,
        identity: &Identity,
        cause: Cause,
        used: usize,
        first: Duration,
        now: Instant,
    ) -> bool {
        if !self.has_room(used) || self.verdict(identity) != Verdict::Healthy {
            return false;
        }
        let settings = self.settings;
        let first = first.max(settings.first);
        self.track_of(identity).eject(cause, first, settings, now);
        true
    }

    /// Takes in that a pod, one of `used`, has answered nothing since the last look. True if a verdict changed.
    pub fn hear_silence(
        &mut self,
        identity: &Identity,
        silence: Silence,
        others: Others,
        used: usize,
        now: Instant,
    ) -> bool {
        let settings = self.settings;
        let Some(limit) = settings.consecutive.map(u64::from) else {
            return false;
        };
        let cause = Cause::Unanswered {
            waiting: silence.waiting,
        };
        match self.verdict(identity) {
            Verdict::Healthy if is_silent(silence, others, limit) => {
                self.condemn(identity, cause, false, used, now)
            }
            Verdict::Trial { cause: last }
                if last.rule() == Rule::Silence && is_still_silent(silence, others, limit) =>
            {
                self.track_of(identity)
                    .eject(cause, settings.first, settings, now);
                true
            }
            _ => false,
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

    /// Forgets who is no longer used, and sets free whoever is one too many for the set that is left.
    pub fn retain(&mut self, used: &HashSet<&Identity>, now: Instant) {
        self.tracks
            .retain(|identity, track| used.contains(identity) && !track.is_clean(now));
        self.release(self.surplus(used.len()), now);
    }

    /// How many too many are without traffic: more than may be where they can be reached, or all of the set.
    fn surplus(&self, used: usize) -> usize {
        let held = self.tracks.values().filter_map(Track::held_for);
        let (unreachable, reachable): (Vec<Cause>, Vec<Cause>) =
            held.partition(|cause| cause.is_unreachable());
        let all = unreachable.len() + reachable.len();
        let past_bound = reachable.len().saturating_sub(self.settings.room(used));
        past_bound.max(all.saturating_sub(used.saturating_sub(1)))
    }

    /// Sets so many free: those that can be reached before the others, and of each those whose time ends first. True
    /// if a verdict changed.
    fn release(&mut self, surplus: usize, now: Instant) -> bool {
        if surplus == 0 {
            return false;
        }
        let mut held: Vec<(&Identity, &mut Track)> = self
            .tracks
            .iter_mut()
            .filter(|(_, track)| track.verdict != Verdict::Healthy)
            .collect();
        held.sort_by_key(|(identity, track)| {
            let unreachable = track.held_for().is_some_and(Cause::is_unreachable);
            let until = match track.verdict {
                Verdict::Ejected { until, .. } => Some(until),
                _ => None,
            };
            // The identity makes the order total.
            (unreachable, until, (*identity).clone())
        });
        for (_, track) in held.into_iter().take(surplus) {
            track.bring_back(now);
            track.counts_from = Some(now);
        }
        true
    }

    /// Endpoints that get traffic and have nothing held against them, but for this one.
    fn well_others(&self, identity: &Identity, used: usize) -> usize {
        let unwell = self.tracks.iter().filter(|(other, track)| {
            *other != identity && (track.verdict != Verdict::Healthy || track.has_failed())
        });
        used.saturating_sub(1).saturating_sub(unwell.count())
    }

    /// Whether one more may be left out within the bound.
    fn has_room(&self, used: usize) -> bool {
        self.ejected() < self.settings.room(used)
    }

    /// Endpoints without their full traffic: ejected or on trial.
    fn ejected(&self) -> usize {
        self.tracks
            .values()
            .filter(|track| track.verdict != Verdict::Healthy)
            .count()
    }

    /// The endpoint's track; an answer makes none where there is none, nor does a failure where none is counted.
    fn track(&mut self, identity: &Identity, outcome: Outcome) -> Option<&mut Track> {
        if outcome == Outcome::Answered || self.settings.consecutive.is_none() {
            self.tracks.get_mut(identity)
        } else {
            Some(self.track_of(identity))
        }
    }

    fn track_of(&mut self, identity: &Identity) -> &mut Track {
        self.tracks.entry(identity.clone()).or_default()
    }
}

#[cfg(test)]
mod tests;
