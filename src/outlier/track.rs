//! What is held against one endpoint.

use std::time::{Duration, Instant};

use super::silence::each_answers;
use super::{Cause, Outcome, Peers};
use crate::config::Ejection;

/// An endpoint that has stayed well for this long is ejected for as short a time as at first again.
pub(super) const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) verdict: Verdict,
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
    pub(super) counts_from: Option<Instant>,
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

impl Track {
    /// Whether failures are counted against it.
    pub(super) fn has_failed(&self) -> bool {
        self.hard + self.gave_up > 0
    }

    /// Why it is without its full traffic.
    pub(super) fn held_for(&self) -> Option<Cause> {
        match self.verdict {
            Verdict::Healthy => None,
            Verdict::Ejected { cause, .. } | Verdict::Trial { cause } => Some(cause),
        }
    }

    pub(super) fn clear(&mut self) {
        self.hard = 0;
        self.gave_up = 0;
        self.unreached = 0;
    }

    pub(super) fn bring_back(&mut self, now: Instant) {
        self.clear();
        self.verdict = Verdict::Healthy;
        self.returned = Some(now);
    }

    /// Nothing is held against the endpoint, so it needs no track.
    pub(super) fn is_clean(&self, now: Instant) -> bool {
        self.verdict == Verdict::Healthy
            && !self.has_failed()
            && (self.ejections == 0 || self.is_forgiven(now))
    }

    fn is_forgiven(&self, now: Instant) -> bool {
        self.returned
            .is_some_and(|returned| now.saturating_duration_since(returned) >= FORGIVEN_AFTER)
    }

    pub(super) fn count(&mut self, outcome: Outcome, peers: Peers) {
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

    /// Enough failures in a row. Clients that gave up count only where the others answered meanwhile.
    pub(super) fn is_over(&self, limit: u32, peers: Peers) -> bool {
        let others = peers.used.saturating_sub(1) as u64;
        let answered = peers.answered.saturating_sub(self.others_at_first);
        let others_answer = each_answers(answered, others, u64::from(limit));
        let all = self.hard.saturating_add(self.gave_up);
        self.hard >= limit || (others_answer && all >= limit)
    }

    /// No connection to it comes about, while the others answer as often. To leave it out puts no load on anybody: its
    /// requests go to the others anyway.
    pub(super) fn is_out_of_reach(&self, limit: u32, peers: Peers) -> bool {
        let answered = peers.answered.saturating_sub(self.others_at_row);
        self.unreached >= limit && self.unreached == self.hard && answered >= u64::from(limit)
    }

    pub(super) fn eject(
        &mut self,
        cause: Cause,
        first: Duration,
        settings: Ejection,
        now: Instant,
    ) {
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
