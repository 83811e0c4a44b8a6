//! How many are ejected at most.

use proptest::prelude::*;

use super::super::track::FORGIVEN_AFTER;
use super::*;

#[test]
fn the_only_pod_is_never_ejected() {
    let now = Instant::now();
    let mut detector = Detector::default();
    for _ in 0..100 {
        assert!(!detector.observe(&id(1), REFUSED, now, peers(1, 0), now));
    }
}

#[test]
fn a_shrinking_set_sets_free_those_whose_time_ends_first() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let reset = Outcome::Failed(Kind::Reset);
    for (n, now) in [(1, now), (2, after(now, 10))] {
        for _ in 0..THRESHOLD {
            detector.observe(&id(n), reset, now, peers(4, 0), now);
        }
    }
    detector.retain(&HashSet::from([&id(1), &id(2), &id(3)]), now);
    assert_eq!(detector.verdict(&id(1)), Verdict::Healthy);
    assert!(matches!(detector.verdict(&id(2)), Verdict::Ejected { .. }));
    detector.retain(&HashSet::from([&id(2)]), now);
    assert_eq!(detector.verdict(&id(2)), Verdict::Healthy);
}

fn held_for(detector: &Detector, identity: &Identity) -> Option<Cause> {
    match detector.verdict(identity) {
        Verdict::Healthy => None,
        Verdict::Ejected { cause, .. } | Verdict::Trial { cause } => Some(cause),
    }
}

/// Fails pods 1 to 2 of three in turn, while the others answer so often for each failure; how many are left out.
fn two_of_three(detector: &mut Detector, outcome: Outcome, answers: u64, now: Instant) -> usize {
    let mut answered = 100;
    for n in [1, 2].into_iter().cycle().take(20) {
        detector.observe(&id(n), outcome, now, peers(3, answered), now);
        answered += answers;
    }
    (1..=3)
        .filter(|n| held_for(detector, &id(*n)).is_some())
        .count()
}

#[test]
fn two_of_three_that_cannot_be_connected_to_are_left_out_while_the_third_answers() {
    let now = Instant::now();
    for (outcome, answers, left_out) in [
        (REFUSED, 1, 2),
        (Outcome::Failed(Kind::ConnectTimeout), 1, 2),
        // The third is not known to answer, or the pods take requests.
        (REFUSED, 0, 1),
        (Outcome::Failed(Kind::Reset), 1, 1),
        (GAVE_UP, 5, 1),
    ] {
        let mut detector = Detector::default();
        let held = two_of_three(&mut detector, outcome, answers, now);
        assert_eq!(held, left_out, "{outcome:?} {answers}");
    }
}

#[test]
fn a_row_with_another_failure_in_it_is_held_to_the_half() {
    let now = Instant::now();
    let mut detector = Detector::default();
    eject(&mut detector, 1, now);
    detector.observe(&id(2), Outcome::Failed(Kind::Reset), now, peers(3, 0), now);
    for _ in 0..20 {
        assert!(!detector.observe(&id(2), REFUSED, now, peers(3, 100), now));
    }
}

#[test]
fn a_client_that_gave_up_does_not_tip_a_row_of_failed_connections_beyond_the_half() {
    let now = Instant::now();
    let mut detector = Detector::default();
    eject(&mut detector, 1, now);
    for _ in 0..5 {
        assert!(!detector.observe(&id(2), REFUSED, now, peers(3, 100), now));
    }
    // The others answer from now on.
    assert!(!detector.observe(&id(2), GAVE_UP, now, peers(3, 200), now));
    assert!(detector.observe(&id(2), REFUSED, now, peers(3, 200), now));
}

#[test]
fn when_the_last_that_was_well_fails_too_those_beyond_the_half_are_set_free() {
    let now = Instant::now();
    let mut detector = Detector::default();
    assert_eq!(two_of_three(&mut detector, REFUSED, 1, now), 2);
    for _ in 0..4 {
        assert!(!detector.observe(&id(3), REFUSED, now, peers(3, 200), now));
    }
    assert!(detector.observe(&id(3), REFUSED, now, peers(3, 200), now));
    assert_eq!(detector.ejected(), 1);
    assert!(!detector.observe(&id(3), REFUSED, now, peers(3, 200), now));
}

#[test]
fn a_trial_that_fails_in_another_way_counts_towards_the_half_again() {
    let now = Instant::now();
    let mut detector = Detector::default();
    two_of_three(&mut detector, REFUSED, 1, now);
    let later = after(now, 1);
    detector.expire(later);
    for n in [1, 2] {
        let reset = Outcome::Failed(Kind::Reset);
        detector.observe(&id(n), reset, later, peers(3, 200), later);
    }
    assert_eq!(detector.ejected(), 1);
}

#[test]
fn an_outlier_is_out_for_longer_each_time_and_within_the_half() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let cause = Cause::Failures { percent: 50 };
    let ten = Duration::from_secs(10);
    assert!(detector.eject_outlier(&id(1), cause, 4, ten, now));
    assert!(!detector.eject_outlier(&id(1), cause, 4, ten, now));
    assert!(detector.eject_outlier(&id(2), cause, 4, ten, now));
    assert!(!detector.eject_outlier(&id(3), cause, 4, ten, now));
    assert_eq!(detector.next_expiry(), Some(after(now, 10)));
    let back = after(now, 10);
    detector.expire(back);
    detector.observe(&id(1), Outcome::Answered, back, peers(4, 0), back);
    assert!(detector.eject_outlier(&id(1), cause, 4, ten, back));
    assert_eq!(detector.next_expiry(), Some(after(back, 20)));
}

#[derive(Clone, Debug)]
enum Event {
    StandOut(u8),
    Observe(u8, Outcome),
    Wait(u64),
    Resize(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        Just(Outcome::Answered),
        Just(REFUSED),
        Just(Outcome::Failed(Kind::Reset)),
        Just(GAVE_UP)
    ];
    prop_oneof![
        12 => (1u8..8, outcome).prop_map(|(n, outcome)| Event::Observe(n, outcome)),
        1 => (1u8..8).prop_map(Event::StandOut),
        2 => (0u64..40).prop_map(Event::Wait),
        1 => (1u8..8).prop_map(Event::Resize),
    ]
}

proptest! {
    /// Whatever is reported in whatever order, never more of the used pods than is set are without traffic though they can
    /// be reached, and never all. Who is ejected again before that is forgiven is out for as long at least, within bounds.
    #[test]
    fn never_more_in_reach_are_ejected_than_may_be_nor_ever_all_nor_for_longer(
        events in prop::collection::vec(event(), 0..400),
        consecutive in prop::option::of(1_u32..7),
        most in prop_oneof![Just(50_usize), 1_usize..=100],
        times in (1_u64..20, 0_u64..200),
    ) {
        let mut now = Instant::now();
        let first = Duration::from_secs(times.0);
        let settings = Ejection { consecutive, most, first, longest: first + Duration::from_secs(times.1) };
        let mut detector = Detector::new(settings);
        let mut out: HashMap<Identity, (Instant, Duration)> = HashMap::new();
        let mut used: Vec<Identity> = (1..8).map(id).collect();
        let mut answered = 0;
        for event in events {
            match event {
                Event::Observe(n, outcome) if used.contains(&id(n)) => {
                    answered += u64::from(outcome == Outcome::Answered) * 10;
                    detector.observe(&id(n), outcome, now, peers(used.len(), answered), now);
                }
                Event::StandOut(n) if used.contains(&id(n)) => {
                    let cause = Cause::Failures { percent: 50 };
                    let first = Duration::from_secs(10);
                    detector.eject_outlier(&id(n), cause, used.len(), first, now);
                }
                Event::Observe(..) | Event::StandOut(_) => {}
                Event::Wait(seconds) => {
                    now = after(now, seconds);
                    detector.expire(now);
                    prop_assert!(detector.next_expiry().is_none_or(|next| next > now));
                }
                Event::Resize(n) => {
                    used = (1..=n).map(id).collect();
                    detector.retain(&used.iter().collect(), now);
                    out.retain(|id, _| used.contains(id));
                }
            }
            let held: Vec<Cause> = used.iter().filter_map(|id| held_for(&detector, id)).collect();
            let in_reach = held.iter().filter(|cause| !cause.is_unreachable()).count();
            prop_assert!(in_reach * 100 <= used.len() * most, "{held:?} of {}", used.len());
            prop_assert!(held.len() < used.len(), "{held:?} of {}", used.len());
            for id in &used {
                let Verdict::Ejected { until, cause } = detector.verdict(id) else {
                    continue;
                };
                let before = out.get(id).copied().filter(|(last, _)| *last != until);
                if before.is_some() || !out.contains_key(id) {
                    let time = until - now;
                    let least = match cause {
                        Cause::Failures { .. } => first.max(Duration::from_secs(10)),
                        _ => first,
                    };
                    prop_assert!(time >= least.min(settings.longest) && time <= settings.longest);
                    // Not forgiven even if it was let in at once when it was ejected last.
                    if let Some((last, took)) = before
                        && now < (last - took) + FORGIVEN_AFTER
                        && cause.rule() == Rule::Failures
                    {
                        prop_assert!(time >= first.saturating_mul(2).min(settings.longest));
                    }
                    out.insert(id.clone(), (until, time));
                }
            }
        }
    }
}
