//! What active checks make of the list, and how that goes with ejection.

use super::*;
use crate::config::{NewPods, Probe, Statuses, Thresholds};

pub(super) fn tcp(new_pods: NewPods) -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp,
        interval: std::time::Duration::from_secs(10),
        timeout: std::time::Duration::from_secs(1),
        thresholds: Thresholds {
            unhealthy_after: 2,
            healthy_after: 2,
        },
        statuses: Statuses::default(),
        host: None,
        port: None,
        new_pods,
    }
}

fn scene(new_pods: NewPods, endpoints: Vec<Endpoint>) -> Scene {
    let choice = Choice {
        health_check: Some(tcp(new_pods)),
        ..round_robin()
    };
    Scene::with(choice, endpoints)
}

/// So many checks of one member in one batch.
pub(super) fn check(scene: &mut Scene, member: usize, passed: bool, times: usize) {
    let report = Report {
        identity: scene.now().members[member].endpoint.identity.clone(),
        outcome: passed
            .then_some(())
            .ok_or_else(|| "it answered 503".to_owned()),
    };
    scene.membership.hear(&vec![report; times], Instant::now());
}

fn states(scene: &Scene) -> Vec<&'static str> {
    let snapshot = scene.now();
    snapshot.members.iter().map(Member::state).collect()
}

#[test]
fn a_pod_that_fails_its_checks_leaves_and_returns_by_its_thresholds() {
    let mut scene = scene(NewPods::Use, ready(&[1, 2, 3]));
    let version = scene.now().version;
    check(&mut scene, 1, false, 1);
    assert_eq!(scene.now().version, version);
    check(&mut scene, 1, false, 1);
    assert_eq!(scene.now().version, version + 1);
    assert_eq!(scene.picked(), [0, 2]);
    assert_eq!(states(&scene), ["ready", "unhealthy", "ready"]);
    let Health::Unhealthy { reason } = scene.now().members[1].health.clone() else {
        panic!("{:?}", scene.now().members[1].health);
    };
    assert_eq!(reason, "it answered 503");
    check(&mut scene, 1, true, 1);
    assert_eq!(scene.picked(), [0, 2]);
    check(&mut scene, 1, true, 1);
    assert_eq!(scene.picked(), [0, 1, 2]);
    assert_eq!(scene.metrics.checks_failed.get(), 2);
    assert_eq!(scene.metrics.checks_passed.get(), 2);
}

#[test]
fn where_all_fail_all_are_used_until_one_passes() {
    let mut scene = scene(NewPods::Use, ready(&[1, 2, 3]));
    // More than half may be unhealthy, unlike ejected.
    check(&mut scene, 0, false, 2);
    check(&mut scene, 2, false, 2);
    assert_eq!(scene.picked(), [1]);
    check(&mut scene, 1, false, 2);
    assert_eq!(states(&scene), ["panic"; 3]);
    assert_eq!(scene.picked(), [0, 1, 2]);
    check(&mut scene, 2, true, 2);
    assert_eq!(states(&scene), ["unhealthy", "unhealthy", "ready"]);
    assert_eq!(scene.picked(), [2]);
}

#[test]
fn a_pod_that_waits_gets_nothing_before_it_has_passed() {
    let mut scene = scene(NewPods::Wait, ready(&[1, 2]));
    assert!(scene.now().picker.is_empty());
    assert_eq!(states(&scene), ["unchecked"; 2]);
    // The first check decides: one to come is waited for, and then no more.
    check(&mut scene, 0, false, 1);
    assert_eq!(states(&scene), ["unhealthy", "unchecked"]);
    assert!(scene.now().picker.is_empty());
    check(&mut scene, 1, true, 1);
    assert_eq!(scene.picked(), [1]);

    scene.list(ready(&[1, 2, 3]));
    assert_eq!(states(&scene), ["unhealthy", "ready", "unchecked"]);
    assert_eq!(scene.picked(), [1]);
    check(&mut scene, 2, true, 1);
    assert_eq!(scene.picked(), [1, 2]);
}

#[test]
fn a_new_pod_that_waits_takes_nothing_from_those_that_are_used_for_want_of_others() {
    let mut scene = scene(NewPods::Wait, ready(&[1, 2]));
    check(&mut scene, 0, false, 1);
    check(&mut scene, 1, false, 1);
    assert_eq!(scene.picked(), [0, 1]);
    scene.list(ready(&[1, 2, 3]));
    assert_eq!(states(&scene), ["panic"; 3]);
    check(&mut scene, 2, true, 1);
    assert_eq!(scene.picked(), [2]);
}

#[test]
fn who_was_not_ready_meanwhile_begins_anew() {
    let mut scene = scene(NewPods::Use, ready(&[1, 2]));
    check(&mut scene, 1, false, 2);
    scene.list(ready(&[1]));
    // A check that ends late is about nobody.
    let gone = Report {
        identity: endpoint(2, "first", Standing::Ready).identity,
        outcome: Err("late".to_owned()),
    };
    scene.membership.hear(&vec![gone; 5], Instant::now());
    scene.list(ready(&[1, 2]));
    assert_eq!(scene.picked(), [0, 1]);
}

#[test]
fn of_those_that_pass_their_checks_no_more_than_half_are_ejected() {
    let now = Instant::now();
    let mut scene = scene(NewPods::Use, ready(&[1, 2, 3, 4, 5]));
    for member in [0, 1, 2] {
        check(&mut scene, member, false, 2);
    }
    // Of five, two might be; of the two that are left, one.
    scene.fail(3, THRESHOLD, now);
    scene.fail(4, THRESHOLD, now);
    assert_eq!(
        states(&scene),
        ["unhealthy", "unhealthy", "unhealthy", "ejected", "ready"]
    );
    assert_eq!(scene.picked(), [4]);
    // The last one that is not ejected fails its checks: the ejected one is taken back rather than nobody be there.
    check(&mut scene, 4, false, 2);
    assert_eq!(scene.picked(), [3]);
    assert_eq!(scene.now().members[3].state(), "ready");
}

#[test]
fn a_pod_that_fails_its_checks_while_ejected_is_not_tried_and_comes_back_clean() {
    let now = Instant::now();
    let mut scene = scene(NewPods::Use, ready(&[1, 2, 3]));
    scene.fail(0, THRESHOLD, now);
    assert_eq!(states(&scene)[0], "ejected");
    check(&mut scene, 0, false, 2);
    assert_eq!(states(&scene)[0], "unhealthy");
    scene
        .membership
        .expire(now + std::time::Duration::from_secs(60));
    assert_eq!(scene.picked(), [1, 2]);
    // What requests tell of it, that were sent before, changes nothing.
    scene.fail(0, 2 * THRESHOLD, now);
    check(&mut scene, 0, true, 2);
    assert_eq!(scene.picked(), [0, 1, 2]);
    assert_eq!(states(&scene), ["ready"; 3]);
}

#[test]
fn in_a_panic_ejection_goes_on_as_ever() {
    let now = Instant::now();
    let mut scene = scene(NewPods::Use, ready(&[1, 2]));
    check(&mut scene, 0, false, 2);
    check(&mut scene, 1, false, 2);
    scene.fail(0, THRESHOLD, now);
    assert_eq!(states(&scene), ["ejected", "panic"]);
    assert_eq!(scene.picked(), [1]);
}

#[test]
fn a_pod_that_fails_its_checks_is_not_ejected_by_comparison_and_comes_back_at_once() {
    let choice = Choice {
        health_check: Some(tcp(NewPods::Use)),
        outliers: Some(Outliers {
            failure_percentage: Some(50.0),
            min_requests: 1,
            min_pods: 2,
            ..Outliers::default()
        }),
        ..round_robin()
    };
    let mut scene = Scene::with(choice, ready(&[1, 2, 3])).without_looks();
    for (member, failed) in [(0, true), (1, false), (2, false)] {
        let stats = scene.now().members[member].stats.clone();
        let tally = stats.tally_shard(0).unwrap();
        match failed {
            true => tally.fail(),
            false => tally.succeed(std::time::Duration::ZERO),
        }
    }
    check(&mut scene, 0, false, 2);
    let due = scene.membership.next_expiry().unwrap();
    scene.membership.expire(due);
    check(&mut scene, 0, true, 2);
    assert_eq!(states(&scene), ["ready"; 3]);
    assert_eq!(scene.picked(), [0, 1, 2]);
}
