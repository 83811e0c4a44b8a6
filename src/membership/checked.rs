//! What active checks say of a target's pods, and whom they let through.

use std::collections::{HashMap, HashSet};

use super::panic::{PanicGuard, Threshold};
use crate::config::{NewPods, Thresholds};
use crate::endpoint::Identity;
use crate::health_check::{Report, Track, Verdict};

/// The checks of one target's pods.
#[derive(Debug)]
pub(super) struct Checked {
    thresholds: Thresholds,
    new_pods: NewPods,
    /// Of those that the list uses.
    tracks: HashMap<Identity, Track>,
    /// Whether all are used, as none has passed.
    guard: PanicGuard,
    /// No pod gets traffic, as some have yet to be checked.
    waits: bool,
}

impl Checked {
    pub(super) fn new(thresholds: Thresholds, new_pods: NewPods) -> Self {
        Self {
            thresholds,
            new_pods,
            tracks: HashMap::new(),
            guard: PanicGuard::new(Threshold::OnePod),
            waits: false,
        }
    }

    /// Takes in one check. True if it changes the pod's verdict.
    pub(super) fn observe(&mut self, report: &Report) -> bool {
        self.tracks
            .get_mut(&report.identity)
            .is_some_and(|track| track.observe(&report.outcome, self.thresholds))
    }

    /// The list uses these now, and no others. To be followed by [`settle`](Self::settle).
    pub(super) fn use_only(&mut self, used: &HashSet<&Identity>) {
        self.tracks.retain(|identity, _| used.contains(identity));
        for identity in used {
            if !self.tracks.contains_key(*identity) {
                let track = Track::new(self.new_pods);
                self.tracks.insert((*identity).clone(), track);
            }
        }
    }

    /// Whether all pods must be used though none has passed its check; true if that has changed. It begins when all have
    /// failed theirs, so that pods that are new wait for a check and no longer; and ends when one passes.
    pub(super) fn settle(&mut self) -> bool {
        let panics = self.panics();
        let usable = self.tracks.values().filter(|track| match track.verdict() {
            Verdict::Healthy => true,
            // It may pass; but that is no reason to end what has begun.
            Verdict::Unchecked => !panics,
            Verdict::Unhealthy(_) => false,
        });
        let usable = usable.count();
        self.guard.settle(usable, self.tracks.len())
    }

    /// Whether from now on nobody gets traffic before a check is passed. To be asked after [`settle`](Self::settle).
    /// `panics`: all are used for another reason.
    pub(super) fn begins_to_wait(&mut self, panics: bool) -> bool {
        let mut verdicts = self.tracks.values().map(Track::verdict);
        let any_passed = verdicts.any(|verdict| *verdict == Verdict::Healthy);
        let before = self.waits;
        self.waits = !self.tracks.is_empty() && !any_passed && !self.panics() && !panics;
        self.waits && !before
    }

    pub(super) fn panics(&self) -> bool {
        self.guard.panics()
    }

    pub(super) fn verdict(&self, identity: &Identity) -> &Verdict {
        let track = self.tracks.get(identity);
        track.map_or(&Verdict::Healthy, Track::verdict)
    }

    pub(super) fn fails(&self, identity: &Identity) -> bool {
        matches!(self.verdict(identity), Verdict::Unhealthy(_))
    }

    /// Whether the pod may get traffic, as far as checks go.
    pub(super) fn lets_through(&self, identity: &Identity) -> bool {
        self.panics() || *self.verdict(identity) == Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(number: u8) -> Identity {
        Identity {
            address: ([10, 0, 0, number], 80).into(),
            uid: None,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Check(u8, bool),
        Use(Vec<bool>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0_u8..5, prop::bool::weighted(0.3)).prop_map(|(pod, passed)| Step::Check(pod, passed)),
            1 => prop::collection::vec(any::<bool>(), 5).prop_map(Step::Use),
        ]
    }

    proptest! {
        /// One that failed gets traffic only while nobody has passed; and while all have failed, all get it.
        #[test]
        fn who_fails_is_out_unless_nobody_has_passed(
            waits in any::<bool>(),
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let new_pods = if waits { NewPods::Wait } else { NewPods::Use };
            let mut checked = Checked::new(Thresholds::default(), new_pods);
            let mut used: Vec<Identity> = Vec::new();
            let mut waited = false;
            for step in steps {
                let panicked = checked.panics();
                match step {
                    Step::Check(pod, passed) => {
                        let outcome = passed.then_some(()).ok_or_else(String::new);
                        checked.observe(&Report { identity: identity(pod), outcome });
                    }
                    Step::Use(pods) => {
                        used = (0..).zip(pods).filter(|(_, used)| *used).map(|(pod, _)| identity(pod)).collect();
                        checked.use_only(&used.iter().collect());
                    }
                }
                let changed = checked.settle();
                prop_assert_eq!(changed, panicked != checked.panics());
                let let_through = used.iter().filter(|pod| checked.lets_through(pod)).count();
                let passed = used.iter().filter(|pod| *checked.verdict(pod) == Verdict::Healthy).count();
                let waiting = let_through == 0 && !used.is_empty();
                prop_assert_eq!(checked.begins_to_wait(false), waiting && !waited);
                waited = waiting;
                let unchecked = used.iter().filter(|pod| *checked.verdict(pod) == Verdict::Unchecked).count();
                if passed > 0 {
                    prop_assert_eq!(let_through, passed);
                    prop_assert!(!checked.panics());
                } else if checked.panics() {
                    prop_assert_eq!(let_through, used.len());
                } else {
                    // Nobody there, or some whose first check decides.
                    prop_assert!(let_through == 0 && (used.is_empty() || unchecked > 0));
                    prop_assert!(waits || used.is_empty());
                }
            }
        }
    }
}
