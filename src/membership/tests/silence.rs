//! Pods that leave their requests without an answer.

use super::*;

#[test]
fn a_silent_pod_is_judged_by_the_answers_of_pods_that_have_gone_since_too() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.answer(1, 1000);
    let silent = scene.fact(0, Outcome::GaveUp { others: 0 }, now);
    scene.membership.observe(&vec![silent.clone(); 4], now);
    scene.answer(0, 100);
    scene.answer(2, 9);
    // With 1000 answers of its own, before the silence.
    scene.list(ready(&[1, 3, 4]));
    scene.membership.observe(std::slice::from_ref(&silent), now);
    assert_eq!(scene.picked(), [0, 1, 2]);
    scene.answer(1, 1);
    scene.membership.observe(&[silent], now);
    assert_eq!(scene.picked(), [1, 2]);
}

/// Looks at the pods so many seconds after the first look, which was after `start`.
fn look(scene: &mut Scene, start: Instant, seconds: u64) {
    scene
        .membership
        .expire(start + std::time::Duration::from_secs(seconds + 1));
}

#[test]
fn a_pod_that_answers_nobody_is_left_out_while_its_requests_wait() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let silent = scene.now().members[0].stats.clone();
    look(&mut scene, start, 0);
    for worker in [0, 0, 0, 1, 1] {
        silent.wait(worker, start + std::time::Duration::from_secs(1), 0);
    }
    scene.answer(1, 10);
    look(&mut scene, start, 1);
    assert_eq!(scene.picked(), [1, 2]);
    assert!(scene.now().members[0].health.is_silent());
    assert_eq!(scene.metrics.ejections(Rule::Silence, Flag::Ut), 1);
}

/// As with a node, which takes all its pods along.
#[test]
fn pods_that_fall_silent_together_are_left_out_together() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3, 4]));
    look(&mut scene, start, 0);
    for pod in [0, 1] {
        let silent = scene.now().members[pod].stats.clone();
        for _ in 0..5 {
            silent.wait(0, start + std::time::Duration::from_secs(1), 0);
        }
    }
    scene.answer(2, 5);
    scene.answer(3, 5);
    look(&mut scene, start, 1);
    assert_eq!(scene.picked(), [2, 3]);
}

#[test]
fn where_those_that_still_answer_have_as_much_in_hand_the_service_is_slow() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3, 4]));
    look(&mut scene, start, 0);
    for pod in 0..4 {
        let slow = scene.now().members[pod].stats.clone();
        for _ in 0..5 {
            slow.wait(0, start + std::time::Duration::from_secs(1), 0);
        }
    }
    scene.answer(2, 5);
    scene.answer(3, 5);
    look(&mut scene, start, 1);
    assert_eq!(scene.picked(), [0, 1, 2, 3]);
}

#[test]
fn a_pod_that_has_answered_another_worker_since_the_last_look_is_not_silent() {
    let start = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let silent = scene.now().members[0].stats.clone();
    look(&mut scene, start, 0);
    for _ in 0..5 {
        silent.wait(1, start + std::time::Duration::from_secs(1), 0);
    }
    for _ in 0..10 {
        scene.totals.shard(1).add(Count::Answered);
    }
    scene.answer(0, 1);
    look(&mut scene, start, 2);
    assert_eq!(scene.picked(), [0, 1, 2]);
    look(&mut scene, start, 3);
    assert_eq!(scene.picked(), [1, 2]);
}

/// What it had when it fell silent may be lost for good, and its clients patient.
#[test]
fn a_pod_on_trial_is_judged_by_the_request_that_tries_it() {
    let start = Instant::now();
    let at = |seconds| start + std::time::Duration::from_secs(seconds);
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let silent = scene.now().members[0].stats.clone();
    look(&mut scene, start, 0);
    for _ in 0..5 {
        silent.wait(0, at(1), 0);
    }
    scene.answer(1, 10);
    for seconds in 1..=6 {
        look(&mut scene, start, seconds);
    }
    assert_eq!(scene.now().members[0].state(), "trial");
    let now = || at(7);
    let ask = Ask {
        key: None,
        now: &now,
    };
    let pick = scene.now().picker.pick(&ask, |_| false).unwrap();
    assert!(pick.member == 0 && pick.trial.is_some(), "{pick:?}");
    silent.wait(0, at(7), 0);
    scene
        .membership
        .expire(at(7) + std::time::Duration::from_millis(500));
    assert_eq!(scene.now().members[0].state(), "trial");
    look(&mut scene, start, 7);
    assert_eq!(scene.now().members[0].state(), "ejected");
}
