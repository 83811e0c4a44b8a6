//! The power of some choices: a few places drawn at random, and the best of them taken.
//!
//! Two choices are nearly as even as a look at all, and no two pickers that see the same counts run to the same endpoint
//! (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").

use crate::config::MOST_CHOICES;

/// The place with the least score among `choices` out of `places`, no place drawn twice, ties at random. `None` where a
/// drawn one has no score, or where there is nothing to draw from.
pub(super) fn best_of_some<S: PartialOrd>(
    places: usize,
    choices: usize,
    score: impl Fn(usize) -> Option<S>,
) -> Option<usize> {
    let wanted = choices.min(places).min(MOST_CHOICES);
    // Sorted, so that the next draw can step over them.
    let mut drawn = [0; MOST_CHOICES];
    let mut best: Option<(usize, S)> = None;
    for count in 0..wanted {
        let mut place = fastrand::usize(..places - count);
        let mut at = 0;
        while at < count && drawn[at] <= place {
            place += 1;
            at += 1;
        }
        drawn.copy_within(at..count, at + 1);
        drawn[at] = place;
        let score = score(place)?;
        // Drawn in any order with the same likelihood, so that the first of equals is one at random.
        if best.as_ref().is_none_or(|(_, least)| score < *least) {
            best = Some((place, score));
        }
    }
    best.map(|(place, _)| place)
}

/// As [`best_of_some`], among the places that were not `tried`; among all of them where all were.
pub(super) fn best_untried<S: PartialOrd>(
    places: usize,
    choices: usize,
    score: impl Fn(usize) -> S,
    tried: impl Fn(usize) -> bool,
) -> Option<usize> {
    let untried = |place| (!tried(place)).then(|| score(place));
    best_of_some(places, choices, untried).or_else(|| {
        // Rare: a retry.
        let untried: Vec<usize> = (0..places).filter(|place| !tried(*place)).collect();
        let best = best_of_some(untried.len(), choices, |index| Some(score(untried[index])));
        match best {
            Some(index) => Some(untried[index]),
            None => best_of_some(places, choices, |place| Some(score(place))),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_pair_is_as_likely_and_ties_are_broken_at_random() {
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            counts[best_of_some(5, 2, |_| Some(0)).unwrap()] += 1;
        }
        // 2,000 each, give or take six standard deviations.
        assert!(
            counts.iter().all(|count| (1760..2240).contains(count)),
            "{counts:?}"
        );
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            counts[best_of_some(5, 2, Some).unwrap()] += 1;
        }
        // Of ten pairs 4, 3, 2, 1 and none.
        for (count, expected) in counts.into_iter().zip([4000, 3000, 2000, 1000, 0_i32]) {
            assert!((count - expected).abs() < 300, "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn as_many_different_places_are_looked_at_as_there_are_choices(
            places in 1_usize..20,
            choices in 2..=MOST_CHOICES,
        ) {
            let seen = RefCell::new(Vec::new());
            let best = best_of_some(places, choices, |place| {
                seen.borrow_mut().push(place);
                Some(place)
            });
            let seen = seen.into_inner();
            let different: BTreeSet<usize> = seen.iter().copied().collect();
            prop_assert_eq!(different.len(), seen.len());
            prop_assert_eq!(seen.len(), places.min(choices));
            prop_assert!(different.last().is_some_and(|last| *last < places));
            prop_assert_eq!(best, different.first().copied());
        }

        #[test]
        fn one_that_was_tried_is_taken_only_if_all_were(
            tried in prop::collection::vec(any::<bool>(), 1..8),
            choices in 2..=MOST_CHOICES,
        ) {
            let best = best_untried(tried.len(), choices, |place| place, |place| tried[place]);
            prop_assert_eq!(tried[best.unwrap()], tried.iter().all(|tried| *tried));
        }
    }
}
