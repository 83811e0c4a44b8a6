//! Whether so few of a target's pods are usable that all are used.

/// A guard against leaving out too many: the few that are left would take everything and fall too, and what so many pods
/// have in common is hardly theirs.
#[derive(Debug)]
pub(super) struct PanicGuard {
    /// Percent of the pods; with fewer usable ones all are used.
    threshold: usize,
    panics: bool,
}

impl PanicGuard {
    pub(super) fn new(threshold: usize) -> Self {
        Self {
            threshold,
            panics: false,
        }
    }

    /// Takes in how many of the pods are usable. True if it is another answer than before.
    pub(super) fn settle(&mut self, usable: usize, pods: usize) -> bool {
        let before = self.panics;
        self.panics = usable.saturating_mul(100) < pods.saturating_mul(self.threshold);
        self.panics != before
    }

    pub(super) fn panics(&self) -> bool {
        self.panics
    }

    pub(super) fn threshold(&self) -> usize {
        self.threshold
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_panic_begins_below_the_threshold_and_ends_at_it() {
        let mut guard = PanicGuard::new(50);
        for (usable, pods, changed, panics) in [
            (0, 0, false, false),
            (2, 4, false, false),
            (1, 4, true, true),
            (0, 4, false, true),
            (2, 5, false, true),
            (3, 5, true, false),
            (4, 9, true, true),
            (0, 0, true, false),
        ] {
            assert_eq!(guard.settle(usable, pods), changed, "{usable} of {pods}");
            assert_eq!(guard.panics(), panics, "{usable} of {pods}");
        }
    }

    proptest! {
        #[test]
        fn it_is_on_where_the_share_is_below_the_threshold_and_nowhere_else(
            threshold in 1_usize..=99,
            counts in prop::collection::vec((0_usize..1200, 0_usize..1200), 1..20),
        ) {
            let mut guard = PanicGuard::new(threshold);
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
