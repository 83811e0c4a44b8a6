//! What the checks of one pod add up to. Pure.

use crate::config::{NewPods, Thresholds};

/// A pod's standing by its checks, and how many in a row speak against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    verdict: Verdict,
    against: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No check has been passed or failed, and until then it waits.
    Unchecked,
    Healthy,
    /// The last failure says why.
    Unhealthy(String),
}

impl Track {
    pub fn new(new_pods: NewPods) -> Self {
        Self {
            verdict: match new_pods {
                NewPods::Use => Verdict::Healthy,
                NewPods::Wait => Verdict::Unchecked,
            },
            against: 0,
        }
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes in one check. True if the pod is now healthy and was not, or the other way.
    pub fn observe(&mut self, outcome: &Result<(), String>, thresholds: Thresholds) -> bool {
        let (needed, next) = match (&self.verdict, outcome) {
            (Verdict::Healthy, Ok(())) => {
                self.against = 0;
                return false;
            }
            (Verdict::Unhealthy(_), Err(reason)) => {
                self.against = 0;
                self.verdict = Verdict::Unhealthy(reason.clone());
                return false;
            }
            (Verdict::Healthy, Err(reason)) => (
                thresholds.unhealthy_after,
                Verdict::Unhealthy(reason.clone()),
            ),
            (Verdict::Unhealthy(_), Ok(())) => (thresholds.healthy_after, Verdict::Healthy),
            // Nothing is in use that a failure would take away, and one answer is more than none.
            (Verdict::Unchecked, Ok(())) => (1, Verdict::Healthy),
            (Verdict::Unchecked, Err(reason)) => (1, Verdict::Unhealthy(reason.clone())),
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return false;
        }
        self.against = 0;
        self.verdict = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(passed: bool) -> Result<(), String> {
        passed.then_some(()).ok_or_else(|| "503".to_owned())
    }

    #[test]
    fn a_pod_that_waits_is_decided_on_by_its_first_check() {
        let thresholds = Thresholds {
            unhealthy_after: 5,
            healthy_after: 5,
        };
        for passed in [true, false] {
            let mut track = Track::new(NewPods::Wait);
            assert_eq!(track.verdict(), &Verdict::Unchecked);
            assert!(track.observe(&outcome(passed), thresholds));
            assert_eq!(track.verdict() == &Verdict::Healthy, passed);
        }
    }

    #[test]
    fn the_reason_is_that_of_the_last_failure() {
        let mut track = Track::new(NewPods::Use);
        let thresholds = Thresholds {
            unhealthy_after: 1,
            healthy_after: 2,
        };
        for reason in ["first", "second"] {
            track.observe(&Err(reason.to_owned()), thresholds);
            assert_eq!(track.verdict(), &Verdict::Unhealthy(reason.to_owned()));
        }
    }

    proptest! {
        /// Against the rule read off the whole row of checks, each time from its beginning.
        #[test]
        fn it_turns_after_as_many_in_a_row_as_are_asked_for_and_at_no_other_time(
            unhealthy_after in 1_u32..5,
            healthy_after in 1_u32..5,
            checks in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            let thresholds = Thresholds { unhealthy_after, healthy_after };
            let mut track = Track::new(NewPods::Use);
            let mut healthy = true;
            for (index, passed) in checks.iter().enumerate() {
                let needed = if healthy { unhealthy_after } else { healthy_after } as usize;
                let seen = &checks[..=index];
                let row = seen.iter().rev().take_while(|passed| **passed != healthy).count();
                let turns = row >= needed;
                prop_assert_eq!(track.observe(&outcome(*passed), thresholds), turns);
                healthy ^= turns;
                prop_assert_eq!(track.verdict() == &Verdict::Healthy, healthy);
            }
        }
    }
}
