mod bound;
mod row;
mod time;

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::error::Kind;

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
    assert!(!detector.hear_silence(&id(1), few, others, 3, now));
    let (enough, others) = silence(5);
    assert!(detector.hear_silence(&id(1), enough, others, 3, now));
    assert_eq!(
        detector.verdict(&id(1)),
        Verdict::Ejected {
            until: after(now, 1),
            cause: Cause::Unanswered { waiting: 5 }
        }
    );
    assert!(!detector.hear_silence(&id(1), enough, others, 3, now));
    // One of three is all that may be left out.
    assert!(!detector.hear_silence(&id(2), enough, others, 3, now));
    assert_eq!(detector.verdict(&id(2)), Verdict::Healthy);
}

#[test]
fn on_trial_for_silence_one_request_that_waits_is_enough() {
    let now = Instant::now();
    let mut detector = Detector::default();
    let (enough, others) = silence(5);
    let (one, _) = silence(1);
    detector.hear_silence(&id(1), enough, others, 3, now);
    let then = after(now, 1);
    detector.expire(then);
    assert!(detector.hear_silence(&id(1), one, others, 3, then));
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
    assert!(!detector.hear_silence(&id(1), one, others, 3, until));
}

#[test]
fn where_failures_in_a_row_eject_nobody_silence_does_not_either() {
    let mut detector = Detector::new(Ejection {
        consecutive: None,
        ..Ejection::default()
    });
    let (enough, others) = silence(100);
    assert!(!detector.hear_silence(&id(1), enough, others, 3, Instant::now()));
}
