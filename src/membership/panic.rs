//! Whether so few of a target's pods are usable that all are used.

use std::fmt;

/// A guard against leaving out too many: the few that are left would take everything and fall too, and what so many pods
/// have in common is hardly theirs.
#[derive(Debug)]
pub(super) struct PanicGuard {
    threshold: Threshold,
    panics: bool,
}

/// With fewer usable pods all are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threshold {
    OnePod,
    Percent(usize),
}

impl PanicGuard {
    pub(super) fn new(threshold: Threshold) -> Self {
        Self {
            threshold,
            panics: false,
        }
    }

    /// Takes in how many of the pods are usable. True if it is another answer than before.
    pub(super) fn settle(&mut self, usable: usize, pods: usize) -> bool {
        let before = self.panics;
        self.panics = match self.threshold {
            Threshold::OnePod => pods > 0 && usable == 0,
            Threshold::Percent(percent) => {
                usable.saturating_mul(100) < pods.saturating_mul(percent)
            }
        };
        self.panics != before
    }

    pub(super) fn panics(&self) -> bool {
        self.panics
    }

    pub(super) fn threshold(&self) -> Threshold {
        self.threshold
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnePod => f.write_str("one pod"),
            Self::Percent(percent) => write!(f, "{percent} % of the pods"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Through counts of usable pods and of all: whether each changes it, and whether it is on then.
    fn goes(threshold: Threshold, steps: &[(usize, usize, bool, bool)]) {
        let mut guard = PanicGuard::new(threshold);
        for &(usable, pods, changed, panics) in steps {
            assert_eq!(guard.settle(usable, pods), changed, "{usable} of {pods}");
            assert_eq!(guard.panics(), panics, "{usable} of {pods}");
        }
    }

    #[test]
    fn a_panic_begins_below_the_threshold_and_ends_at_it() {
        let steps = [
            (0, 0, false, false),
            (2, 4, false, false),
            (1, 4, true, true),
            (0, 4, false, true),
            (2, 5, false, true),
            (3, 5, true, false),
            (4, 9, true, true),
            (0, 0, true, false),
        ];
        goes(Threshold::Percent(50), &steps);
    }

    #[test]
    fn where_one_pod_is_enough_a_panic_lasts_while_there_is_none() {
        let steps = [
            (0, 0, false, false),
            (1, 1000, false, false),
            (0, 1000, true, true),
            (0, 1, false, true),
            (1, 1, true, false),
            (0, 2, true, true),
            (0, 0, true, false),
        ];
        goes(Threshold::OnePod, &steps);
    }

    proptest! {
        #[test]
        fn it_is_on_where_the_share_is_below_the_threshold_and_nowhere_else(
            threshold in 1_usize..=99,
            counts in prop::collection::vec((0_usize..1200, 0_usize..1200), 1..20),
        ) {
            let mut guard = PanicGuard::new(Threshold::Percent(threshold));
            for (usable, pods) in counts {
                let usable = usable.min(pods);
                let before = guard.panics();
                let changed = guard.settle(usable, pods);
                let below = pods > 0 && (usable as f64 / pods as f64) < threshold as f64 / 100.0 - 1e-9;
                prop_assert_eq!(guard.panics(), below);
                prop_assert_eq!(changed, before != below);
            }
        }
    }
}
