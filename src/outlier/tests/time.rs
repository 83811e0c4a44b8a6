//! How long an ejection lasts, how it ends, and when it is forgiven.

use super::*;

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
