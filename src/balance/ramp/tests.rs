use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::balance::Picker;
use crate::balance::tests::{POLICIES, balancer, candidate};

const WINDOW: Duration = Duration::from_secs(10);

fn slow(floor: f64) -> SlowStart {
    SlowStart {
        window: WINDOW,
        floor,
        curve: 1.0,
    }
}

/// Pods of weight 1, each with what it ramps by.
fn picker(policy: &str, ramps: &[Option<Ramp>]) -> Picker {
    let mut balancer = balancer(policy);
    let candidates: Vec<Candidate> = (0..)
        .zip(ramps)
        .map(|(member, ramp)| Candidate {
            ramp: *ramp,
            ..candidate(member, false)
        })
        .collect();
    balancer.picker(&candidates)
}

/// How often each of the pods is picked; requests have keys where the policy hashes.
fn counts(policy: &str, ramps: &[Option<Ramp>], now: Instant, picks: u64) -> Vec<u64> {
    let picker = picker(policy, ramps);
    let mut counts = vec![0; ramps.len()];
    for number in 0..picks {
        let key = policy.starts_with("hash").then(|| stable_hash(b"", number));
        let ask = Ask { key, now: &|| now };
        counts[picker.pick(&ask, |_| false).unwrap().member] += 1;
    }
    counts
}

#[test]
fn a_share_is_that_of_the_curve_under_every_policy() {
    let start = Instant::now();
    let ramp = Ramp {
        since: start,
        slow: slow(0.1),
    };
    let ramps = [None, None, Some(ramp), None];
    for policy in POLICIES {
        for seconds in [0, 3, 6, 9, 10, 100] {
            let now = start + Duration::from_secs(seconds);
            let picks = 8_000;
            let counts = counts(policy, &ramps, now, picks);
            let share = ramp.share(now);
            // Of an even part so much, or as if its weight were so much, by how the policy goes on. Six standard
            // deviations to either side, and as much as a table of hashes and few keys are uneven by.
            let (least, most) = (share / 4.0, share / (3.0 + share));
            let picks = picks as f64;
            let slack = 6.0 * (most / picks).sqrt() + most * 0.05;
            let got = counts[2] as f64 / picks;
            assert!(
                (least - slack..=most + slack).contains(&got),
                "{policy} at {seconds} s: {counts:?}"
            );
        }
    }
}

#[test]
fn turns_that_round_robin_passes_over_go_to_the_others_evenly() {
    let start = Instant::now();
    let ramp = |floor| {
        Some(Ramp {
            since: start,
            slow: slow(floor),
        })
    };
    // Two that stand side by side, and at the end of the round.
    let ramps = [None, ramp(0.1), ramp(0.5), None, None, ramp(0.3)];
    let counts = counts("round-robin", &ramps, start, 10_001);
    let others = [counts[0], counts[3], counts[4]];
    let spread = others.iter().max().unwrap() - others.iter().min().unwrap();
    assert!(spread <= 1, "{counts:?}");
    assert!(counts[1] < counts[5] && counts[5] < counts[2] && counts[2] < counts[0]);
}

#[test]
fn those_that_began_together_share_exactly_where_there_is_nobody_else() {
    let start = Instant::now();
    let ramps = [Some(Ramp {
        since: start,
        slow: slow(0.1),
    }); 5];
    assert_eq!(counts("round-robin", &ramps, start, 500), [100; 5]);
    for policy in POLICIES {
        for count in counts(policy, &ramps, start, 5_000) {
            // Six standard deviations, and the table's unevenness.
            assert!((800..1200).contains(&count), "{policy}: {count}");
        }
    }
}

#[test]
fn once_the_window_is_over_turns_are_exact_though_no_new_picker_has_come() {
    let start = Instant::now();
    let ramp = Some(Ramp {
        since: start,
        slow: slow(0.0),
    });
    let counts = counts("round-robin", &[None, ramp, None], start + WINDOW, 300);
    assert_eq!(counts, [100; 3]);
}

#[test]
fn a_key_moves_to_a_ramping_pod_once_and_stays() {
    let start = Instant::now();
    let ramp = Some(Ramp {
        since: start,
        slow: slow(0.1),
    });
    let picker = picker("hash:path", &[None, ramp]);
    let mut moved = 0;
    for key in (0..200).map(|number| stable_hash(b"k", number)) {
        let owners: Vec<usize> = (0..=10)
            .map(|seconds| {
                let now = start + Duration::from_secs(seconds);
                let ask = Ask {
                    key: Some(key),
                    now: &|| now,
                };
                picker.pick(&ask, |_| false).unwrap().member
            })
            .collect();
        assert!(owners.is_sorted(), "{owners:?}");
        moved += usize::from(owners.first() != owners.last());
    }
    assert!((60..130).contains(&moved), "{moved} of the keys moved");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pod_is_always_found_and_one_that_was_tried_only_where_all_were(
        policy in prop::sample::select(&POLICIES[..]),
        // For each pod, when its ramp began, if it ramps, and whether it was tried.
        pods in prop::collection::vec((prop::option::of(0_u64..12_000), any::<bool>()), 1..8),
        floor in prop_oneof![Just(0.0), 0.0_f64..=1.0],
        keys in prop::collection::vec(any::<u64>(), 20),
    ) {
        let start = Instant::now();
        let now = start + Duration::from_secs(12);
        let ramps: Vec<Option<Ramp>> = pods
            .iter()
            .map(|(began, _)| began.map(|began| Ramp {
                since: start + Duration::from_millis(began),
                slow: slow(floor),
            }))
            .collect();
        let picker = picker(policy, &ramps);
        let tried = |member: usize| pods[member].1;
        for key in keys {
            let ask = Ask { key: Some(key), now: &|| now };
            let picked = picker.pick(&ask, tried).unwrap().member;
            prop_assert_eq!(tried(picked), pods.iter().all(|(_, tried)| *tried));
        }
    }
}
