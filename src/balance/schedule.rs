//! The order of turns by weight, as a schedule that is gone through in a circle.
//!
//! Earliest deadline first: in a circle of W slots, W being the sum of the weights, the k-th turn of an endpoint of weight
//! w belongs between slots k W/w and (k+1) W/w, and of those whose time has come the one whose time runs out first gets
//! the slot. That finds room for everyone (the windows of Pfair scheduling; Baruah, Cohen, Plaxton and Varvel,
//! "Proportionate Progress"). So over any number of slots from the schedule's begin each endpoint is less than one turn
//! ahead of its share or behind it, and over the whole circle it has exactly its share.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots of a schedule, unless there are many endpoints: see [`most_slots`].
const SLOTS: u64 = 16_384;

/// Each slot holds an endpoint's place, by index into `weights`. At least one for each endpoint; all alike where all
/// weights are 0.
///
/// Weights whose sum over their common divisor is more than [`most_slots`] are rounded: each endpoint then has less than
/// one slot more or less than its due.
pub(super) fn schedule(weights: &[u32]) -> Vec<usize> {
    let weights = fitted(weights);
    let slots: u64 = weights.iter().sum();
    let window = |place: usize, turn: u64| {
        let weight = weights[place];
        (turn * slots / weight, ((turn + 1) * slots).div_ceil(weight))
    };
    let mut turns = vec![0; weights.len()];
    let mut waiting = BinaryHeap::new();
    let mut due = BinaryHeap::new();
    for place in 0..weights.len() {
        waiting.push(Reverse((0, place)));
    }
    let mut schedule = Vec::new();
    for slot in 0..slots {
        while let Some(Reverse((from, place))) = waiting.peek().copied() {
            if from > slot {
                break;
            }
            waiting.pop();
            let (_, until) = window(place, turns[place]);
            due.push(Reverse((until, place)));
        }
        // There always is one: by now more turns have come due than there were slots.
        let Some(Reverse((_, place))) = due.pop() else {
            break;
        };
        schedule.push(place);
        turns[place] += 1;
        if turns[place] < weights[place] {
            let (from, _) = window(place, turns[place]);
            waiting.push(Reverse((from, place)));
        }
    }
    schedule
}

/// How long a schedule may become. Its length bounds the time to make it and the memory it takes; and what is rounded
/// away.
fn most_slots(endpoints: usize) -> u64 {
    SLOTS.max(4 * endpoints as u64)
}

/// Weights in the same proportions, small enough for a schedule, none of them 0.
fn fitted(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd);
    if divisor == 0 {
        return vec![1; weights.len()];
    }
    let weights: Vec<u64> = weights
        .iter()
        .map(|weight| u64::from(weight / divisor))
        .collect();
    let sum: u64 = weights.iter().sum();
    let most = most_slots(weights.len());
    let rounded = |weight: u64| match sum > most {
        true => (weight * most + sum / 2) / sum,
        false => weight,
    };
    weights
        .into_iter()
        .map(|weight| rounded(weight).max(1))
        .collect()
}

fn gcd(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        _ => gcd(other, one % other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(slots: &[usize], places: usize) -> Vec<u64> {
        let mut counts = vec![0; places];
        for place in slots {
            counts[*place] += 1;
        }
        counts
    }

    #[test]
    fn the_heavy_one_is_spread_among_the_light_ones() {
        assert_eq!(schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(schedule(&[50, 10, 10]), [0, 0, 0, 1, 0, 0, 2]);
        assert_eq!(schedule(&[2, 1, 1]), [0, 1, 0, 2]);
        assert_eq!(schedule(&[7]), [0]);
        assert_eq!(schedule(&[]), [0; 0]);
        assert_eq!(schedule(&[0, 0]), [0, 1]);
    }

    #[test]
    fn one_of_a_hundred_thousand_is_not_forgotten() {
        let schedule = schedule(&[1_000_000, 1]);
        let length = u64::try_from(schedule.len()).unwrap();
        assert!(length <= SLOTS + 1);
        assert_eq!(counts(&schedule, 2), [length - 1, 1]);
    }

    proptest! {
        #[test]
        fn all_have_exactly_their_shares_over_a_round_and_are_never_a_turn_off(
            weights in prop::collection::vec(1_u32..60, 1..40),
        ) {
            let schedule = schedule(&weights);
            let divisor = u64::from(weights.iter().copied().fold(0, gcd));
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            prop_assert_eq!(schedule.len() as u64 * divisor, sum);
            for length in 0..=schedule.len() {
                let counts = counts(&schedule[..length], weights.len());
                for (count, weight) in counts.iter().zip(&weights) {
                    let due = length as u64 * u64::from(*weight);
                    prop_assert!((count * sum).abs_diff(due) < sum, "{count} of {length}");
                }
            }
        }

        #[test]
        fn rounding_takes_or_gives_less_than_a_slot(
            weights in prop::collection::vec(1_u32..=1_000_000, 1..60),
        ) {
            let schedule = schedule(&weights);
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let divisor = u64::from(weights.iter().copied().fold(0, gcd));
            let length = most_slots(weights.len()).min(sum / divisor);
            let counts = counts(&schedule, weights.len());
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(*count > 0);
                let due = length * u64::from(*weight);
                prop_assert!((count * sum).abs_diff(due) < sum, "{count} for {weight}");
            }
        }
    }
}
