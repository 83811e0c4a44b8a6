//! Random: each pick is independent and uniform.

use super::Candidate;

#[derive(Debug)]
pub(super) struct Random {
    members: Box<[usize]>,
}

impl Random {
    pub(super) fn new(candidates: &[&Candidate]) -> Self {
        Self {
            members: candidates
                .iter()
                .map(|candidate| candidate.member)
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let len = self.members.len();
        if len == 0 {
            return None;
        }
        // The generator is a thread's own: workers share nothing.
        let first = self.members[fastrand::usize(..len)];
        if !tried(first) {
            return Some(first);
        }
        // Rare: a retry. Uniform among those not tried.
        let untried: Vec<usize> = self
            .members
            .iter()
            .copied()
            .filter(|member| !tried(*member))
            .collect();
        if untried.is_empty() {
            return Some(first);
        }
        Some(untried[fastrand::usize(..untried.len())])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Members 10, 11, 12 and so on.
    fn random(len: usize) -> Random {
        Random {
            members: (10..10 + len).collect(),
        }
    }

    fn counts(random: &Random, picks: usize, tried: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; random.members.len()];
        for _ in 0..picks {
            counts[random.pick(|member| tried.contains(&member)).unwrap() - 10] += 1;
        }
        counts
    }

    #[test]
    fn everyone_is_as_likely_as_the_others() {
        // More than eight standard deviations to either side.
        let fair = 750..1250;
        for count in counts(&random(8), 8 * 1000, &[]) {
            assert!(fair.contains(&count), "{count}");
        }
        let retried = counts(&random(8), 6 * 1000, &[10, 13]);
        for (place, count) in retried.into_iter().enumerate() {
            assert!(fair.contains(&count) || (count == 0 && matches!(place, 0 | 3)));
        }
    }

    #[test]
    fn without_endpoints_there_is_no_pick() {
        assert!(random(0).is_empty());
        assert_eq!(random(0).pick(|_| false), None);
    }

    proptest! {
        #[test]
        fn one_that_was_tried_is_picked_only_if_all_were(
            tried in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let random = random(tried.len());
            let member = random.pick(|member| tried[member - 10]).unwrap();
            prop_assert_eq!(tried[member - 10], tried.iter().all(|tried| *tried));
        }
    }
}
