//! An attempt that its pod leaves without an answer: when another may go beside it, and what its end says.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Attempt;
use crate::outlier::{Outcome, SILENCE};
use crate::pool::Upstream;
use crate::proxy::hedging::Hedging;
use crate::proxy::latencies::End;
use crate::proxy::replay::AttemptBody;
use crate::proxy::reporter::Reporter;

/// What this worker has had answered. Its own counts alone: they are at hand, those of others would cost each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub all: u64,
    /// By the attempt's own pod.
    own: u64,
}

impl Answers {
    pub(super) fn read(upstream: &Upstream<AttemptBody>, reporter: &Reporter) -> Self {
        Self {
            all: reporter.answered(),
            own: upstream.counters().answered(),
        }
    }

    /// What the others have answered since `before`; nothing where the pod answers too.
    fn of_others_since(self, before: Self) -> u64 {
        match self.own == before.own {
            true => self.all.saturating_sub(before.all),
            false => 0,
        }
    }
}

impl Attempt {
    /// After how long the request may go to another pod beside this one, if it is known. A trial is given as long as a
    /// client that leaves must have waited: it is the pod's chance.
    pub fn hedge(&mut self, hedging: &Rc<Hedging>) -> Option<Duration> {
        let after = hedging.after().map(|after| match self.trial {
            Some(_) => after.max(SILENCE),
            None => after,
        });
        self.hedging = Some((hedging.clone(), after));
        after
    }

    /// Whether it may get another attempt beside it.
    pub fn may_be_hedged(&self) -> bool {
        matches!(self.hedging, Some((_, Some(_))))
    }

    pub(super) fn wait_no_longer(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.upstream.counters().wait_no_longer();
        }
    }

    /// It ended undecided: tells membership if the pod has been silent for too long.
    pub(super) fn tell_of_silence(&mut self) {
        let given_up = self.give_up();
        let silent_since = self
            .body
            .pods_turn(self.started)
            .filter(|since| given_up || since.elapsed() > SILENCE);
        let Some(since) = silent_since else {
            return;
        };
        // What was answered while a slow client still sent its body says nothing.
        let others = match since.duration_since(self.started) < SILENCE {
            true => Answers::read(&self.upstream, &self.reporter).of_others_since(self.before),
            false => 0,
        };
        self.tally_failure();
        self.report(Outcome::GaveUp { others }, false);
    }

    /// Takes note of a request that was given up after it could have gone to another pod. Whether this one has left all
    /// that it got without an answer for so long that it is taken for one that hangs.
    fn give_up(&self) -> bool {
        let Some((hedging, Some(after))) = &self.hedging else {
            return false;
        };
        let Some(since) = self.body.pods_turn(self.started) else {
            return false;
        };
        let now = Instant::now();
        let took = now.saturating_duration_since(since);
        if took < *after {
            return false;
        }
        let pod = self.upstream.identity();
        hedging.record(pod, took, End::GivenUp);
        let answered = self.upstream.counters().answered();
        hedging.give_up(pod, since, answered, now) > SILENCE
    }
}
