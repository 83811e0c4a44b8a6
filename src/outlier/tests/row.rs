//! Failures in a row, and clients that gave up among them.

use super::*;

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
