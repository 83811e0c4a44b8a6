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

mod comparison;
mod silence;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::config::{Ejection, GrpcCode};
use crate::endpoint::{Endpoint, Identity};
use crate::error::{Flag, Kind};
use crate::stats::Silence;

use silence::{is_silent, is_still_silent};

pub use comparison::stand_out;
pub use silence::Others;

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
    /// It answered, in a way that is set to count as a failure.
    Said(Said),
    /// The client left after the pod had been silent for longer than [`SILENCE`].
    GaveUp {
        /// What the others are known to have answered since the request began, while this pod answered nothing.
        others: u64,
    },
}

/// An answer that is set to count as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    Status(StatusCode),
    Code(GrpcCode),
}

/// A client that leaves earlier says nothing about the pod.
pub const SILENCE: Duration = Duration::from_secs(1);

/// An endpoint that has stayed well for this long is ejected for as short a time as at first again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Keeps what is held against each endpoint.
#[derive(Debug, Default)]
pub struct Detector {
    settings: Ejection,
    tracks: HashMap<Identity, Track>,
}

#[derive(Clone, Debug, Default)]
struct Track {
    verdict: Verdict,
    /// Failures since the last answer, hard ones and clients that gave up.
    hard: u32,
    gave_up: u32,
    /// Hard ones in which no connection came about.
    unreached: u32,
    /// What the others had answered when the first of the row's silent requests began.
    others_at_first: u64,
    /// What they had answered when the row's first failure was told.
    others_at_row: u64,
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

/// Why an endpoint was ejected: what the last of its failures was, or by what it stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Failed(Kind),
    Said(Said),
    Silent,
    /// It has so many requests in hand and answers none, while other pods answer.
    Unanswered {
        waiting: u64,
    },
    /// Of its requests in an interval far fewer succeeded than of all pods' on average, both in percent.
    SuccessRate {
        rate: u64,
        mean: u64,
    },
    /// So many percent of its requests in an interval failed.
    Failures {
        percent: u64,
    },
    /// Its successes in an interval took longer than those of the median pod.
    Latency {
        micros: u64,
        median: u64,
    },
}

/// What ejected a pod, in one word for `/state`, metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// In a row; so are the next three, by what the last of the row was.
    Failures,
    Status,
    Grpc,
    Silence,
    SuccessRate,
    FailurePercentage,
    Latency,
}

impl Rule {
    pub const ALL: [Self; 7] = [
        Self::Failures,
        Self::Status,
        Self::Grpc,
        Self::Silence,
        Self::SuccessRate,
        Self::FailurePercentage,
        Self::Latency,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Status => "status",
            Self::Grpc => "grpc",
            Self::Silence => "silence",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::Latency => "latency",
        }
    }
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

    /// Takes in that a pod has answered nothing since the last look. True if a verdict changed.
    pub fn hear_silence(
        &mut self,
        identity: &Identity,
        silence: Silence,
        others: Others,
        now: Instant,
    ) -> bool {
        let settings = self.settings;
        let Some(limit) = settings.consecutive.map(u64::from) else {
            return false;
        };
        let used = usize::try_from(others.pods)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
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

impl Track {
    /// Whether failures are counted against it.
    fn has_failed(&self) -> bool {
        self.hard + self.gave_up > 0
    }

    /// Why it is without its full traffic.
    fn held_for(&self) -> Option<Cause> {
        match self.verdict {
            Verdict::Healthy => None,
            Verdict::Ejected { cause, .. } | Verdict::Trial { cause } => Some(cause),
        }
    }

    fn clear(&mut self) {
        self.hard = 0;
        self.gave_up = 0;
        self.unreached = 0;
    }

    fn bring_back(&mut self, now: Instant) {
        self.clear();
        self.verdict = Verdict::Healthy;
        self.returned = Some(now);
    }

    /// Nothing is held against the endpoint, so it needs no track.
    fn is_clean(&self, now: Instant) -> bool {
        self.verdict == Verdict::Healthy
            && !self.has_failed()
            && (self.ejections == 0 || self.is_forgiven(now))
    }

    fn is_forgiven(&self, now: Instant) -> bool {
        self.returned
            .is_some_and(|returned| now.saturating_duration_since(returned) >= FORGIVEN_AFTER)
    }

    fn count(&mut self, outcome: Outcome, peers: Peers) {
        if !self.has_failed() {
            self.others_at_row = peers.answered;
        }
        match outcome {
            Outcome::Answered => {}
            Outcome::Failed(_) | Outcome::Said(_) => {
                self.hard = self.hard.saturating_add(1);
                if Cause::of(outcome).is_unreachable() {
                    self.unreached = self.unreached.saturating_add(1);
                }
            }
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
    fn is_over(&self, limit: u32, peers: Peers) -> bool {
        let others = peers.used.saturating_sub(1) as u64;
        let answered = peers.answered.saturating_sub(self.others_at_first);
        let others_answer = others > 0 && answered >= u64::from(limit).saturating_mul(others);
        let all = self.hard.saturating_add(self.gave_up);
        self.hard >= limit || (others_answer && all >= limit)
    }

    /// No connection to it comes about, while the others answer as often. To leave it out puts no load on anybody: its
    /// requests go to the others anyway.
    fn is_out_of_reach(&self, limit: u32, peers: Peers) -> bool {
        let answered = peers.answered.saturating_sub(self.others_at_row);
        self.unreached >= limit && self.unreached == self.hard && answered >= u64::from(limit)
    }

    fn eject(&mut self, cause: Cause, first: Duration, settings: Ejection, now: Instant) {
        if self.is_forgiven(now) {
            self.ejections = 0;
        }
        let time = settings.time(first, self.ejections);
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
            Outcome::Said(said) => Self::Said(said),
            Outcome::GaveUp { .. } | Outcome::Answered => Self::Silent,
        }
    }

    /// The pod cannot even be connected to.
    fn is_unreachable(self) -> bool {
        matches!(
            self,
            Self::Failed(Kind::ConnectFailed | Kind::ConnectTimeout)
        )
    }

    pub fn rule(self) -> Rule {
        match self {
            Self::Failed(_) => Rule::Failures,
            Self::Said(Said::Status(_)) => Rule::Status,
            Self::Said(Said::Code(_)) => Rule::Grpc,
            Self::Silent | Self::Unanswered { .. } => Rule::Silence,
            Self::SuccessRate { .. } => Rule::SuccessRate,
            Self::Failures { .. } => Rule::FailurePercentage,
            Self::Latency { .. } => Rule::Latency,
        }
    }

    /// The flag of the failure that tipped the balance; none where that was an answer, or the pod stood out from the
    /// others.
    pub fn flag(self) -> Flag {
        match self {
            Self::Failed(kind) => kind.row().flag,
            Self::Silent | Self::Unanswered { .. } => Flag::Ut,
            Self::Said(_)
            | Self::SuccessRate { .. }
            | Self::Failures { .. }
            | Self::Latency { .. } => Flag::None,
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::Code(code) => write!(f, "answered {code}"),
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(kind) => write!(f, "failures in a row, the last: {}", kind.row().name),
            Self::Said(said) => write!(f, "failures in a row, the last: {said}"),
            Self::Silent => f.write_str(
                "failures in a row, the last: silent until its client gave up, while other pods answer",
            ),
            Self::Unanswered { waiting } => write!(
                f,
                "it answers none of the requests it has ({waiting}), while other pods answer"
            ),
            Self::SuccessRate { rate, mean } => write!(
                f,
                "{rate} % of its requests succeeded, of the pods' on average {mean} %"
            ),
            Self::Failures { percent } => write!(f, "{percent} % of its requests failed"),
            Self::Latency { micros, median } => write!(
                f,
                "its answers took {:?} on average, the median pod's {:?}",
                Duration::from_micros(*micros),
                Duration::from_micros(*median)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
