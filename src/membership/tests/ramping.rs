//! Which pods ramp, and until when.

use std::time::Duration;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn scene(endpoints: Vec<Endpoint>) -> Scene {
    let slow = SlowStart {
        window: WINDOW,
        ..SlowStart::default()
    };
    let choice = Choice {
        slow_start: Some(slow),
        ..round_robin()
    };
    Scene::with(choice, endpoints).without_looks()
}

/// The members that ramp, in order of their index.
fn ramping(scene: &Scene) -> Vec<usize> {
    let snapshot = scene.now();
    let members = snapshot.members.iter().enumerate();
    let ramping = members.filter(|(_, member)| member.ramp.is_some());
    ramping.map(|(index, _)| index).collect()
}

#[test]
fn who_joins_others_ramps_and_the_first_list_does_not() {
    let mut scene = scene(ready(&[1, 2]));
    assert!(ramping(&scene).is_empty());
    scene.list(ready(&[1, 2, 3]));
    assert_eq!(ramping(&scene), [2]);
    let began = scene.now().members[2].ramp.unwrap().since;
    // A ramp goes on over other changes.
    scene.list(ready(&[2, 3, 4]));
    assert_eq!(ramping(&scene), [1, 2]);
    assert_eq!(scene.now().members[1].ramp.unwrap().since, began);

    scene.list(Vec::new());
    scene.list(ready(&[5, 6]));
    assert!(ramping(&scene).is_empty());
}

#[test]
fn without_slow_start_nobody_ramps() {
    let mut scene = Scene::of(ready(&[1])).without_looks();
    scene.list(ready(&[1, 2]));
    assert!(ramping(&scene).is_empty());
    assert_eq!(scene.membership.next_expiry(), None);
}

#[test]
fn a_ramp_that_ends_is_a_snapshot_of_its_own() {
    let mut scene = scene(ready(&[1]));
    scene.list(ready(&[1, 2]));
    let end = scene.membership.next_expiry().unwrap();
    assert_eq!(scene.now().members[1].ramp.unwrap().end(), end);
    let version = scene.now().version;
    scene.membership.expire(end - Duration::from_millis(1));
    assert_eq!((scene.now().version, ramping(&scene)), (version, vec![1]));
    scene.membership.expire(end);
    assert_eq!(
        (scene.now().version, ramping(&scene)),
        (version + 1, vec![])
    );
    assert_eq!(scene.membership.next_expiry(), None);
}

#[test]
fn who_returns_from_not_ready_ramps() {
    let mut scene = scene(ready(&[1, 2]));
    let not_ready = endpoint(2, "first", Standing::NotReady);
    scene.list(vec![ready(&[1]).remove(0), not_ready]);
    assert!(ramping(&scene).is_empty());
    scene.list(ready(&[1, 2]));
    assert_eq!(ramping(&scene), [1]);
}

#[test]
fn who_returns_from_ejection_ramps_and_not_while_on_trial() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut scene = scene(ready(&[1, 2, 3]));
    scene.fail(1, THRESHOLD, now);
    scene.membership.expire(now + second);
    assert_eq!(scene.now().members[1].state(), "trial");
    assert!(ramping(&scene).is_empty());
    let answered = scene.fact(1, Outcome::Answered, now + second);
    scene.membership.observe(&[answered], now + second);
    assert_eq!(ramping(&scene), [1]);
    assert_eq!(scene.now().members[1].ramp.unwrap().since, now + second);
}

#[test]
fn who_was_drained_and_is_given_a_weight_ramps() {
    let weighing = |weight| Endpoint {
        weight,
        ..endpoint(2, "first", Standing::Ready)
    };
    let mut scene = scene(vec![ready(&[1]).remove(0), weighing(0)]);
    scene.list(vec![ready(&[1]).remove(0), weighing(1)]);
    assert_eq!(ramping(&scene), [1]);
}
