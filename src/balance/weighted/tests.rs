use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::stats::EndpointStats;

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let weights = weights.iter().enumerate();
    weights
        .map(|(member, weight)| Candidate {
            member,
            identity: Identity {
                address: ([10, 0, 0, 1], u16::try_from(member).unwrap()).into(),
                uid: None,
            },
            trial: false,
            weight: *weight,
            ramp: None,
            stats: Arc::new(EndpointStats::new(1, Instant::now())),
        })
        .collect()
}

fn picker(weighting: &mut Weighting, candidates: &[Candidate]) -> RoundRobin {
    weighting.next_picker(&candidates.iter().collect::<Vec<_>>())
}

#[test]
fn an_update_that_changes_nothing_goes_on_in_the_round() {
    let candidates = candidates(&[5, 2, 1]);
    let mut weighting = Weighting::default();
    let mut counts = [0; 3];
    for _ in 0..16 {
        // A picker for each pick.
        let picker = picker(&mut weighting, &candidates);
        counts[picker.pick(|_| false).unwrap()] += 1;
    }
    assert_eq!(counts, [10, 4, 2]);
}

#[test]
fn a_round_begins_anywhere() {
    let candidates = candidates(&[1; 100]);
    let firsts: std::collections::BTreeSet<usize> = (0..20)
        .map(|_| picker(&mut Weighting::default(), &candidates))
        .map(|picker| picker.pick(|_| false).unwrap())
        .collect();
    assert!(firsts.len() > 1);
}

#[test]
fn without_candidates_there_is_no_pick() {
    assert_eq!(picker(&mut Weighting::default(), &[]).pick(|_| false), None);
}

proptest! {
    /// Whoever asks, and however many requests are sent again.
    #[test]
    fn shares_are_exact_over_whole_rounds_on_all_workers(
        weights in prop::collection::vec(1_u32..20, 1..10),
        rounds in 1_usize..4,
    ) {
        let candidates = candidates(&weights);
        let mut weighting = Weighting::default();
        let picker = picker(&mut weighting, &candidates);
        let picks = rounds * weighting.slots.len();
        let counts = std::thread::scope(|scope| {
            let workers = [0, 1].map(|worker| {
                let picker = &picker;
                let places = weights.len();
                scope.spawn(move || {
                    let mut counts = vec![0; places];
                    for _ in 0..(picks + worker) / 2 {
                        counts[picker.pick(|_| false).unwrap()] += 1;
                    }
                    counts
                })
            });
            let [mut one, other] = workers.map(|worker| worker.join().unwrap());
            one.iter_mut().zip(other).for_each(|(one, other)| *one += other);
            one
        });
        let sum: usize = weights.iter().map(|weight| *weight as usize).sum();
        for (count, weight) in counts.iter().zip(&weights) {
            prop_assert_eq!(count * sum, picks * *weight as usize);
        }
    }

    /// As long as the one that fails has no more than half of all turns: the others could not make up for more.
    #[test]
    fn a_retry_takes_nobodys_turns(
        weights in prop::collection::vec(1_u32..20, 2..6),
        rounds in 1_usize..4,
    ) {
        let candidates = candidates(&weights);
        let mut weighting = Weighting::default();
        let picker = picker(&mut weighting, &candidates);
        let round = weighting.slots.len();
        let lightest = (0..weights.len()).min_by_key(|place| weights[*place]).unwrap();
        let mut picks = Vec::new();
        while picks.len() < rounds * round {
            let first = picker.pick(|_| false).unwrap();
            picks.push(first);
            if first == lightest {
                let second = picker.pick(|member| member == lightest).unwrap();
                prop_assert_ne!(second, lightest);
                picks.push(second);
            }
        }
        // Within a round all turns that were given away are given back.
        for _ in 0..round {
            picks.push(picker.pick(|_| false).unwrap());
        }
        while !picks.len().is_multiple_of(round) {
            picks.push(picker.pick(|_| false).unwrap());
        }
        let sum: usize = weights.iter().map(|weight| *weight as usize).sum();
        for (place, weight) in weights.iter().enumerate() {
            let count = picks.iter().filter(|pick| **pick == place).count();
            prop_assert_eq!(count * sum, picks.len() * *weight as usize);
        }
    }
}
