use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::stats::EndpointStats;

fn candidates(addresses: &[u16]) -> Vec<Candidate> {
    addresses
        .iter()
        .enumerate()
        .map(|(member, port)| Candidate {
            member,
            identity: Identity {
                address: ([10, 0, 0, 1], *port).into(),
                uid: None,
            },
            trial: false,
            weight: 1,
            ramp: None,
            stats: Arc::new(EndpointStats::new(1, Instant::now())),
        })
        .collect()
}

fn next_picker(rotation: &mut Rotation, addresses: &[u16]) -> RoundRobin {
    let candidates = candidates(addresses);
    rotation.next_picker(&candidates.iter().collect::<Vec<_>>())
}

fn picker(len: u16, start: u32) -> RoundRobin {
    let addresses: Vec<u16> = (0..len).collect();
    next_picker(&mut Rotation::starting_at(start), &addresses)
}

fn fresh(picker: &RoundRobin) -> usize {
    picker.pick(|_| false).unwrap()
}

/// The members one request is sent to, one attempt after the other.
fn request(picker: &RoundRobin, attempts: usize) -> Vec<usize> {
    let mut tried = Vec::new();
    for _ in 0..attempts {
        let member = picker.pick(|member| tried.contains(&member)).unwrap();
        tried.push(member);
    }
    tried
}

fn counts(len: u16, picks: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut counts = vec![0; usize::from(len)];
    for member in picks {
        counts[member] += 1;
    }
    counts
}

/// Picks until all exchanges are done and the number of picks is a multiple of `len`.
fn settle(picker: &RoundRobin, len: u16, mut picks: Vec<usize>) -> Vec<usize> {
    while picker.turns.exchanged.load(Relaxed) > 0 || !picks.len().is_multiple_of(len.into()) {
        picks.push(fresh(picker));
    }
    picks
}

fn all_equal(counts: &[usize]) -> bool {
    counts.iter().all(|count| *count == counts[0])
}

#[test]
fn the_first_turn_is_where_it_was_told_to_start() {
    assert_eq!(fresh(&picker(3, 7)), 1);
    assert_eq!(fresh(&picker(3, u32::MAX)), u32::MAX as usize % 3);
}

#[test]
fn a_turn_that_was_tried_goes_to_the_next_one_and_is_made_up_for() {
    let picker = picker(3, 0);
    assert_eq!([0; 2].map(|_| fresh(&picker)), [0, 1]);
    // Turn 2 is the retry's own pod: it changes places with 0.
    assert_eq!(picker.pick(|member| member == 2), Some(0));
    let round = [0; 6].map(|_| fresh(&picker));
    assert_eq!(round, [2, 1, 2, 0, 1, 2]);
}

#[test]
fn an_exchange_whose_receiver_was_tried_too_is_passed_on() {
    let picker = picker(3, 0);
    assert_eq!(picker.pick(|member| member == 0), Some(1));
    // Turn 1 was given to 0, which this request has tried.
    assert_eq!(picker.pick(|member| member == 0), Some(1));
    let picks = settle(&picker, 3, vec![1, 1]);
    assert!(all_equal(&counts(3, picks.iter().copied())), "{picks:?}");
}

#[test]
fn where_all_were_tried_turns_go_on() {
    let picker = picker(3, 0);
    let picks = [0; 6].map(|_| picker.pick(|_| true).unwrap());
    assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    assert_eq!(picker.turns.exchanged.load(Relaxed), 0);
}

#[test]
fn without_endpoints_there_is_no_pick() {
    let picker = picker(0, 5);
    assert!(picker.is_empty());
    assert_eq!(picker.pick(|_| false), None);
}

#[test]
fn exchanges_are_bounded() {
    let picker = picker(2, 0);
    for _ in 0..10 * MOST_EXCHANGES {
        // Always the turn of the one that was tried.
        picker.turns.cursor.store(0, Relaxed);
        assert_eq!(picker.pick(|member| member == 0), Some(1));
    }
    assert_eq!(picker.turns.lock().len(), MOST_EXCHANGES);
}

#[test]
fn a_set_that_stands_still_keeps_turns_and_exchanges_over_updates() {
    let mut rotation = Rotation::starting_at(0);
    let before = next_picker(&mut rotation, &[1, 2, 3]);
    assert_eq!(before.pick(|member| member == 0), Some(1));
    // The same endpoints, at other places in the snapshot.
    let mut moved = candidates(&[1, 2, 3]);
    for candidate in &mut moved {
        candidate.member += 10;
    }
    let after = rotation.next_picker(&moved.iter().collect::<Vec<_>>());
    assert_eq!([0; 3].map(|_| fresh(&after)), [10, 12, 10]);
}

#[test]
fn a_set_that_was_empty_for_a_while_starts_somewhere() {
    let mut rotation = Rotation::starting_at(1);
    assert!(next_picker(&mut rotation, &[]).is_empty());
    assert_eq!(fresh(&next_picker(&mut rotation, &[1, 2, 3])), 1);
    assert!(next_picker(&mut rotation, &[]).is_empty());
    let picker = next_picker(&mut rotation, &[4, 5]);
    let round = [0; 2].map(|_| fresh(&picker));
    assert!(all_equal(&counts(2, round)));
}

#[test]
fn what_was_given_away_before_a_set_was_empty_is_forgotten() {
    let mut rotation = Rotation::starting_at(0);
    let before = next_picker(&mut rotation, &[1, 2, 3]);
    for tried in [0, 1, 2] {
        before.pick(|member| member == tried);
    }
    let waiting = Exchange { of: 0, to: 2 };
    assert_eq!(*before.turns.lock(), [waiting]);
    assert!(next_picker(&mut rotation, &[]).is_empty());
    let after = next_picker(&mut rotation, &[1]);
    assert_eq!(after.turns.exchanged.load(Relaxed), 0);
    for _ in 0..4 {
        assert_eq!(after.pick(|_| true), Some(0));
    }
}

proptest! {
    /// Whatever the sets and the retries, a pick is one of the set, and there is one unless the set is empty.
    #[test]
    fn every_pick_is_of_the_set(
        steps in prop::collection::vec(
            (
                subsequence((0..6).collect::<Vec<u16>>(), 0..=6),
                prop::collection::vec(any::<u8>(), 0..12),
            ),
            1..12,
        ),
        start: u32,
    ) {
        let mut rotation = Rotation::starting_at(start);
        for (addresses, picks) in steps {
            let picker = next_picker(&mut rotation, &addresses);
            // Each number is a set of members tried: every fourth, all of them.
            for tried in picks {
                let picked = picker.pick(|member| tried % 4 == 0 || tried >> 2 & 1 << member != 0);
                prop_assert_eq!(picked.is_none(), addresses.is_empty());
                prop_assert!(picked.is_none_or(|member| member < addresses.len()));
            }
        }
    }

    #[test]
    fn any_whole_rounds_are_exact(len in 1..40_u16, rounds in 1..5_usize, start: u32, before in 0..100_usize) {
        let picker = picker(len, start);
        for _ in 0..before {
            fresh(&picker);
        }
        let picks = (0..rounds * usize::from(len)).map(|_| fresh(&picker));
        prop_assert_eq!(counts(len, picks), vec![rounds; usize::from(len)]);
    }

    #[test]
    fn whole_rounds_are_exact_across_threads(
        len in 1..10_u16,
        rounds in 1..50_usize,
        threads in 1..4_usize,
        start: u32,
    ) {
        let picker = picker(len, start);
        let each = rounds * usize::from(len);
        let picks: Vec<usize> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| (0..each).map(|_| fresh(&picker)).collect::<Vec<_>>()))
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        prop_assert_eq!(counts(len, picks), vec![rounds * threads; usize::from(len)]);
    }

    #[test]
    fn each_attempt_goes_to_another_pod_while_there_is_one(
        len in 1..8_u16,
        start: u32,
        attempts in prop::collection::vec(1..6_usize, 1..50),
    ) {
        let picker = picker(len, start);
        for attempts in attempts {
            let mut tried = request(&picker, attempts);
            tried.truncate(usize::from(len));
            let all = tried.len();
            tried.sort_unstable();
            tried.dedup();
            prop_assert_eq!(tried.len(), all);
        }
    }

    #[test]
    fn retries_take_turns_and_nobody_gains_or_loses_one(
        len in 1..8_u16,
        start: u32,
        attempts in prop::collection::vec(1..4_usize, 1..100),
    ) {
        let picker = picker(len, start);
        let picks = attempts
            .into_iter()
            .flat_map(|attempts| request(&picker, attempts))
            .collect();
        let picks = settle(&picker, len, picks);
        prop_assert!(all_equal(&counts(len, picks)));
    }

    #[test]
    fn retries_are_exact_across_threads(
        len in 1..6_u16,
        start: u32,
        attempts in prop::collection::vec(1..4_usize, 50..200),
    ) {
        let picker = picker(len, start);
        let attempts = &attempts;
        let picks = std::thread::scope(|scope| {
            let workers = [0; 3].map(|_| {
                scope.spawn(|| {
                    attempts
                        .iter()
                        .flat_map(|attempts| request(&picker, *attempts))
                        .collect::<Vec<_>>()
                })
            });
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        let picks = settle(&picker, len, picks);
        prop_assert!(all_equal(&counts(len, picks)));
    }

    #[test]
    fn the_rotation_goes_on_after_an_update(
        before in subsequence((0..30).collect::<Vec<u16>>(), 1..20),
        after in subsequence((0..30).collect::<Vec<u16>>(), 1..20),
        start: u32,
        turns in 0..40_usize,
    ) {
        let mut rotation = Rotation::starting_at(start);
        let picker = next_picker(&mut rotation, &before);
        for _ in 0..turns {
            fresh(&picker);
        }
        let due = before[(start as usize + turns) % before.len()];
        let expected = after.iter().find(|address| **address >= due).unwrap_or(&after[0]);

        let picker = next_picker(&mut rotation, &after);
        prop_assert_eq!(after[fresh(&picker)], *expected);
    }
}
