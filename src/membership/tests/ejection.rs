//! Failures in a row, and the trial after them.

use super::*;

#[test]
fn pods_that_fail_together_leave_with_one_snapshot() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3, 4]));
    let version = scene.now().version;
    let facts: Vec<Fact> = [0, 2, 3]
        .repeat(THRESHOLD as usize)
        .into_iter()
        .map(|member| scene.fact(member, Outcome::Failed(Kind::Reset), now))
        .collect();
    scene.membership.observe(&facts, now);
    assert_eq!(scene.now().version, version + 1);
    // No more than half of them.
    assert_eq!(scene.picked(), [1, 3]);
}

#[test]
fn five_failures_take_an_endpoint_out_of_the_picks_with_a_reason() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD - 1, now);
    assert_eq!(scene.picked(), [0, 1, 2]);
    assert!(scene.now().members[1].stats.suspect());
    scene.fail(1, 1, now);
    assert_eq!(scene.picked(), [0, 2]);
    let member = scene.now().members[1].clone();
    assert_eq!(member.state(), "ejected");
    let reason = member.health.cause().unwrap().to_string();
    assert!(reason.contains("connect refused"), "{reason}");
    let ejections = scene.metrics.ejections(Rule::Failures, Flag::Uf);
    assert_eq!(ejections, 1);
}

#[test]
fn after_its_time_one_request_at_a_time_tries_it_and_its_outcome_decides() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD, now);
    scene
        .membership
        .expire(now + std::time::Duration::from_secs(1));
    let snapshot = scene.now();
    assert_eq!(snapshot.members[1].state(), "trial");
    let trial = snapshot.picker.pick(&Ask::now(None), |_| false).unwrap();
    assert_eq!(trial.member, 1);
    assert!(trial.trial.is_some());
    for _ in 0..6 {
        assert_ne!(
            snapshot
                .picker
                .pick(&Ask::now(None), |_| false)
                .unwrap()
                .member,
            1
        );
    }
    let answered = scene.fact(
        1,
        Outcome::Answered,
        now + std::time::Duration::from_secs(1),
    );
    scene.membership.observe(&[answered], now);
    assert_eq!(scene.now().members[1].state(), "ready");
    assert!(!scene.now().members[1].stats.suspect());
    assert_eq!(scene.picked(), [0, 1, 2]);
}

#[test]
fn a_request_holds_a_trial_for_as_long_as_the_longest_ejection() {
    let seconds = std::time::Duration::from_secs;
    let now = Instant::now();
    let ejection = Ejection {
        longest: seconds(4),
        ..Ejection::default()
    };
    let choice = Choice {
        ejection,
        ..round_robin()
    };
    let mut scene = Scene::with(choice, ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD, now);
    scene.membership.expire(now + seconds(1));
    let snapshot = scene.now();
    let start = Instant::now();
    let tried = |after| {
        let now = || start + seconds(after);
        let ask = Ask {
            key: None,
            now: &now,
        };
        snapshot.picker.pick(&ask, |_| false).unwrap().trial
    };
    let first = tried(0);
    assert!(first.is_some());
    assert!(tried(3).is_none());
    assert!(tried(5).is_some());
}

#[test]
fn facts_about_who_has_gone_or_is_not_used_change_nothing() {
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    let gone = scene.now().members[0].endpoint.clone();
    scene.list(vec![
        endpoint(2, "first", Standing::Ready),
        endpoint(3, "first", Standing::NotReady),
    ]);
    let version = scene.now().version;
    for endpoint in [gone, scene.now().members[1].endpoint.clone()] {
        for _ in 0..2 * THRESHOLD {
            let fact = Fact {
                endpoint: endpoint.clone(),
                outcome: Outcome::Failed(Kind::Reset),
                started: Instant::now(),
                refused: false,
            };
            scene.membership.observe(&[fact], Instant::now());
        }
    }
    assert_eq!(scene.now().version, version);
}

#[test]
fn a_set_that_shrinks_takes_an_ejected_pod_back_rather_than_lose_more_than_half() {
    let now = Instant::now();
    let mut scene = Scene::of(ready(&[1, 2]));
    scene.fail(0, THRESHOLD, now);
    assert_eq!(scene.picked(), [1]);
    scene.list(ready(&[1]));
    assert_eq!(scene.picked(), [0]);
    assert_eq!(scene.now().members[0].state(), "ready");
}

#[test]
fn a_drained_pod_takes_no_place_among_those_that_may_be_ejected() {
    let now = Instant::now();
    let drained = |numbers: &[u8]| {
        let mut list = ready(&[1, 2, 3]);
        for number in numbers {
            list[usize::from(*number) - 1].weight = 0;
        }
        list
    };
    let mut scene = Scene::of(ready(&[1, 2, 3]));
    scene.fail(0, THRESHOLD, now);
    assert_eq!(scene.picked(), [1, 2]);
    scene.list(drained(&[1]));
    scene.fail(1, THRESHOLD, now);
    assert_eq!(scene.picked(), [2]);
    // Where no other pod is left to send anything to, it is as good as any.
    let mut scene = Scene::of(drained(&[1, 2, 3]));
    scene.fail(0, THRESHOLD, now);
    scene.fail(1, THRESHOLD, now);
    assert_eq!(scene.picked(), [1, 2]);
}
