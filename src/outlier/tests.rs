use super::*;
use proptest::prelude::*;

/// Failures in a row that eject, where nothing else is set.
const THRESHOLD: u32 = 5;

const REFUSED: Outcome = Outcome::Failed(Kind::ConnectFailed);
const GAVE_UP: Outcome = Outcome::GaveUp { others: 0 };

fn id(n: u8) -> Identity {
    Identity {
        address: ([10, 0, 0, n], 80).into(),
        uid: None,
    }
}

fn peers(used: usize, answered: u64) -> Peers {
    Peers { used, answered }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// Observes until the endpoint is ejected, and returns until when.
fn eject(detector: &mut Detector, n: u8, now: Instant) -> Instant {
    for _ in 0..THRESHOLD {
        detector.observe(&id(n), REFUSED, now, peers(4, 0), now);
    }
    match detector.verdict(&id(n)) {
        Verdict::Ejected { until, .. } => until,
        other => panic!("not ejected: {other:?}"),
    }
}

#[test]
fn five_failures_in_a_row_eject_and_an_answer_between_starts_anew() {
    let now = Instant::now();
    let mut detector = Detector::default();
    for _ in 0..4 {
        assert!(!detector.observe(&id(1), REFUSED, now, peers(3, 0), now));
    }
    assert!(detector.is_suspect(&id(1)));
    detector.observe(&id(1), Outcome::Answered, now, peers(3, 0), now);
    assert!(!detector.is_suspect(&id(1)));
    for _ in 0..4 {
        assert!(!detector.observe(&id(1), REFUSED, now, peers(3, 0), now));
    }
    assert!(detector.observe(&id(1), REFUSED, now, peers(3, 0), now));
    assert_eq!(
        detector.verdict(&id(1)),
        Verdict::Ejected {
            until: after(now, 1),
            cause: Cause::Failed(Kind::ConnectFailed)
        }
    );
}

/// So many requests at a pod, for which it lets wait while two others answer.
fn silence(waiting: u64) -> (Silence, Others) {
    let silence = Silence {
        waiting,
        lasted: SILENCE,
        others: 10,
    };
    let others = Others {
        pods: 2,
        waiting: 0,
    };
    (silence, others)
}

#[test]
fn a_pod_that_answers_nobody_is_ejected_while_its_requests_wait() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let (few, others) = silence(4);
    assert!(!detector.hear_silence(&id(1), few, others, now));
    let (enough, others) = silence(5);
    assert!(detector.hear_silence(&id(1), enough, others, now));
    assert_eq!(
        detector.verdict(&id(1)),
        Verdict::Ejected {
            until: after(now, 1),
            cause: Cause::Unanswered { waiting: 5 }
        }
    );
    assert!(!detector.hear_silence(&id(1), enough, others, now));
    // One of three is all that may be left out.
    assert!(!detector.hear_silence(&id(2), enough, others, now));
    assert_eq!(detector.verdict(&id(2)), Verdict::Healthy);
}

#[test]
fn on_trial_for_silence_one_request_that_waits_is_enough() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let (enough, others) = silence(5);
    let (one, _) = silence(1);
    detector.hear_silence(&id(1), enough, others, now);
    let then = after(now, 1);
    detector.expire(then);
    assert!(detector.hear_silence(&id(1), one, others, then));
    assert_eq!(
        detector.verdict(&id(1)),
        Verdict::Ejected {
            until: after(then, 2),
            cause: Cause::Unanswered { waiting: 1 }
        }
    );

    // For anything else its trial lasts as long as its request.
    let mut detector = Detector::default();
    let until = eject(&mut detector, 1, now);
    detector.expire(until);
    assert!(!detector.hear_silence(&id(1), one, others, until));
}

#[test]
fn where_failures_in_a_row_eject_nobody_silence_does_not_either() {
    let mut detector = Detector::new(Ejection {
        consecutive: None,
        ..Ejection::default()
    });
    let (enough, others) = silence(100);
    assert!(!detector.hear_silence(&id(1), enough, others, Instant::now()));
}

#[test]
fn an_answer_that_is_set_to_count_is_a_failure_as_others_are() {
    let now = Instant::now();
    let said = Said::Status(StatusCode::SERVICE_UNAVAILABLE);
    let mut detector = Detector::default();
    for _ in 0..4 {
        assert!(!detector.observe(&id(1), Outcome::Said(said), now, peers(2, 0), now));
    }
    assert!(detector.observe(&id(1), Outcome::Said(said), now, peers(2, 0), now));
    let first = Verdict::Ejected {
        until: after(now, 1),
        cause: Cause::Said(said),
    };
    assert_eq!(detector.verdict(&id(1)), first);
    let then = after(now, 1);
    detector.expire(then);
    assert!(detector.observe(&id(1), Outcome::Said(said), then, peers(2, 0), then));
    let again = Verdict::Ejected {
        until: after(now, 3),
        cause: Cause::Said(said),
    };
    assert_eq!(detector.verdict(&id(1)), again);
}

#[test]
fn the_first_answer_after_the_time_brings_it_back() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let until = eject(&mut detector, 1, now);
    assert_eq!(detector.next_expiry(), Some(until));
    assert!(!detector.expire(until - Duration::from_millis(1)));
    assert!(detector.expire(until));
    assert!(matches!(detector.verdict(&id(1)), Verdict::Trial { .. }));
    assert!(detector.observe(&id(1), Outcome::Answered, until, peers(4, 0), until));
    assert_eq!(detector.verdict(&id(1)), Verdict::Healthy);
    assert!(!detector.is_suspect(&id(1)));
}

#[test]
fn a_failed_trial_ejects_at_once_for_twice_as_long_up_to_thirty_seconds() {
    let mut now = Instant::now();
    let mut detector = Detector::default();
    let mut until = eject(&mut detector, 1, now);
    let mut times = vec![(until - now).as_secs()];
    for _ in 0..6 {
        now = until;
        detector.expire(now);
        assert!(detector.observe(&id(1), GAVE_UP, now, peers(4, 0), now));
        until = detector.next_expiry().unwrap();
        times.push((until - now).as_secs());
    }
    assert_eq!(times, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_minute_without_failure_is_forgiven() {
    let start = Instant::now();
    for (healthy_for, time) in [(59, 2), (60, 1)] {
        let mut detector = Detector::default();
        let back = eject(&mut detector, 1, start);
        detector.expire(back);
        detector.observe(&id(1), Outcome::Answered, back, peers(4, 0), back);
        let again = after(back, healthy_for);
        assert_eq!((eject(&mut detector, 1, again) - again).as_secs(), time);
    }
}

#[test]
fn what_ends_during_an_ejection_decides_nothing() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let until = eject(&mut detector, 1, now);
    assert!(!detector.observe(&id(1), Outcome::Answered, now, peers(4, 0), now));
    assert!(!detector.observe(&id(1), REFUSED, now, peers(4, 0), now));
    assert_eq!(detector.next_expiry(), Some(until));
}

#[test]
fn what_began_before_an_ejection_ended_decides_neither_the_trial_nor_what_comes_after() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let until = eject(&mut detector, 1, now);
    detector.expire(until);
    let later = after(until, 3);
    let before = until - Duration::from_millis(1);
    for outcome in [Outcome::Answered, REFUSED, GAVE_UP] {
        assert!(!detector.observe(&id(1), outcome, before, peers(4, 100), later));
        assert!(matches!(detector.verdict(&id(1)), Verdict::Trial { .. }));
    }
    assert!(detector.observe(&id(1), Outcome::Answered, until, peers(4, 0), later));
    for _ in 0..2 * THRESHOLD {
        assert!(!detector.observe(&id(1), REFUSED, before, peers(4, 0), later));
    }
    assert!(!detector.is_suspect(&id(1)));
}

#[test]
fn an_ejection_that_ended_with_the_set_is_forgiven_after_a_minute_too() {
    let start = Instant::now();
    for (healthy_for, time) in [(59, 2), (60, 1)] {
        let mut detector = Detector::default();
        eject(&mut detector, 1, start);
        detector.retain(&HashSet::from([&id(1)]), start);
        assert_eq!(detector.verdict(&id(1)), Verdict::Healthy);
        let again = after(start, healthy_for);
        assert_eq!((eject(&mut detector, 1, again) - again).as_secs(), time);
    }
}

#[test]
fn a_minute_of_failed_trials_is_not_forgiven() {
    let start = Instant::now();
    let mut detector = Detector::default();
    let back = eject(&mut detector, 1, start);
    detector.expire(back);
    detector.observe(&id(1), Outcome::Answered, back, peers(4, 0), back);
    let until = eject(&mut detector, 1, after(back, 58));
    detector.expire(until);
    let failed = after(back, 61);
    detector.observe(&id(1), REFUSED, until, peers(4, 0), failed);
    assert_eq!(detector.next_expiry(), Some(after(failed, 4)));
}

#[test]
fn nothing_is_kept_of_endpoints_that_are_well() {
    let now = Instant::now();
    let mut detector = Detector::default();
    detector.observe(&id(1), REFUSED, now, peers(4, 0), now);
    detector.observe(&id(1), Outcome::Answered, now, peers(4, 0), now);
    assert!(detector.tracks.is_empty());

    let back = eject(&mut detector, 1, now);
    detector.expire(back);
    detector.observe(&id(1), Outcome::Answered, back, peers(4, 0), back);
    let used = id(1);
    let used = HashSet::from([&used]);
    detector.retain(&used, after(back, 59));
    assert_eq!(detector.tracks.len(), 1);
    detector.retain(&used, after(back, 60));
    assert!(detector.tracks.is_empty());
}

#[test]
fn a_long_poll_whose_clients_all_give_up_ejects_nobody() {
    let now = Instant::now();
    let mut detector = Detector::default();
    for n in (1..=3).cycle().take(300) {
        assert!(!detector.observe(&id(n), GAVE_UP, now, peers(3, 0), now));
    }
}

#[test]
fn a_silent_pod_is_ejected_once_each_other_has_answered_as_often() {
    let now = Instant::now();
    let mut detector = Detector::default();
    // The others' 100 answers from before the silence prove nothing.
    for answered in [100, 100, 102, 104, 109] {
        assert!(!detector.observe(&id(1), GAVE_UP, now, peers(3, answered), now));
    }
    assert!(detector.observe(&id(1), GAVE_UP, now, peers(3, 110), now));
    assert!(matches!(
        detector.verdict(&id(1)),
        Verdict::Ejected {
            cause: Cause::Silent,
            ..
        }
    ));
}

#[test]
fn silence_is_weighed_from_when_the_silent_request_began() {
    let now = Instant::now();
    let mut detector = Detector::default();
    // Five requests that began together are given up together: all the others' answers came before.
    let silent = Outcome::GaveUp { others: 10 };
    for _ in 0..4 {
        assert!(!detector.observe(&id(1), silent, now, peers(3, 100), now));
    }
    assert!(detector.observe(&id(1), silent, now, peers(3, 100), now));
}

#[test]
fn of_a_row_the_request_that_began_first_counts() {
    let now = Instant::now();
    let mut detector = Detector::default();
    for others in [0, 9, 10, 3] {
        let silent = Outcome::GaveUp { others };
        assert!(!detector.observe(&id(1), silent, now, peers(3, 100), now));
    }
    assert!(detector.observe(&id(1), GAVE_UP, now, peers(3, 100), now));
}

#[test]
fn too_few_answers_of_the_others_meanwhile_prove_nothing() {
    let now = Instant::now();
    let mut detector = Detector::default();
    for _ in 0..100 {
        let silent = Outcome::GaveUp { others: 9 };
        assert!(!detector.observe(&id(1), silent, now, peers(3, 100), now));
    }
}

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

#[test]
fn another_pod_on_the_same_address_starts_clean() {
    let now = Instant::now();
    let mut detector = Detector::default();
    eject(&mut detector, 1, now);
    let reborn = Identity {
        uid: Some("new".into()),
        ..id(1)
    };
    assert_eq!(detector.verdict(&reborn), Verdict::Healthy);
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

#[test]
fn so_many_failures_eject_for_so_long_as_is_set() {
    let now = Instant::now();
    let mut detector = Detector::new(Ejection {
        consecutive: Some(2),
        first: Duration::from_secs(3),
        longest: Duration::from_secs(10),
        ..Ejection::default()
    });
    assert!(!detector.observe(&id(1), REFUSED, now, peers(4, 0), now));
    assert!(detector.observe(&id(1), REFUSED, now, peers(4, 0), now));
    let mut last = now;
    for seconds in [3, 6, 10, 10] {
        let until = detector.next_expiry().unwrap();
        assert_eq!((until - last).as_secs(), seconds);
        last = until;
        detector.expire(last);
        detector.observe(&id(1), REFUSED, last, peers(4, 0), last);
    }
}

#[test]
fn a_silent_pod_is_weighed_by_as_many_answers_as_failures_are_set() {
    let now = Instant::now();
    let mut detector = Detector::new(Ejection {
        consecutive: Some(2),
        ..Ejection::default()
    });
    for answered in [100, 103] {
        assert!(!detector.observe(&id(1), GAVE_UP, now, peers(3, answered), now));
    }
    assert!(detector.observe(&id(1), GAVE_UP, now, peers(3, 104), now));
}

#[test]
fn with_no_number_set_failures_in_a_row_leave_no_trace_but_still_decide_a_trial() {
    let now = Instant::now();
    let mut detector = Detector::new(Ejection {
        consecutive: None,
        ..Ejection::default()
    });
    for _ in 0..100 {
        assert!(!detector.observe(&id(1), REFUSED, now, peers(4, 100), now));
    }
    // Its answers are no news, which each would cost.
    assert!(!detector.is_suspect(&id(1)));
    assert!(detector.tracks.is_empty());

    let (cause, ten) = (Cause::Failures { percent: 50 }, Duration::from_secs(10));
    assert!(detector.eject_outlier(&id(1), cause, 4, ten, now));
    let then = after(now, 10);
    detector.expire(then);
    assert!(detector.observe(&id(1), REFUSED, then, peers(4, 0), then));
    assert_eq!(detector.next_expiry(), Some(after(then, 2)));
    let then = after(then, 2);
    detector.expire(then);
    assert!(detector.observe(&id(1), Outcome::Answered, then, peers(4, 0), then));
    assert!(!detector.observe(&id(1), REFUSED, then, peers(4, 0), then));
    assert!(!detector.is_suspect(&id(1)));
}

#[test]
fn an_outlier_is_out_for_no_shorter_than_any_pod() {
    let now = Instant::now();
    let mut detector = Detector::new(Ejection {
        first: Duration::from_secs(20),
        ..Ejection::default()
    });
    let (cause, ten) = (Cause::Failures { percent: 50 }, Duration::from_secs(10));
    assert!(detector.eject_outlier(&id(1), cause, 4, ten, now));
    assert_eq!(detector.next_expiry(), Some(after(now, 20)));
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
