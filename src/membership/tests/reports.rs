//! Weights of reports in snapshots.

use std::time::Duration;

use super::*;
use crate::config::Orca;
use crate::load_report::LoadReport;

fn scene(endpoints: Vec<Endpoint>) -> Scene {
    let orca = Orca {
        blackout: Duration::ZERO,
        ..Orca::default()
    };
    let choice = Choice {
        policy: Policy::Orca(orca),
        ..round_robin()
    };
    Scene::with(choice, endpoints).without_looks()
}

fn report(scene: &Scene, member: usize, utilization: f64) {
    let report = LoadReport {
        cpu_utilization: utilization,
        rps_fractional: 100.0,
        ..LoadReport::default()
    };
    let reported = scene.now().members[member].stats.clone();
    reported
        .reported()
        .unwrap()
        .observe(&report, Instant::now());
}

fn weights(scene: &Scene) -> Vec<u32> {
    scene.now().members.iter().map(Member::weight).collect()
}

/// What each member gets of so many picks.
fn shares(scene: &Scene, picks: usize) -> Vec<usize> {
    let snapshot = scene.now();
    let mut counts = vec![0; snapshot.members.len()];
    for _ in 0..picks {
        let pick = snapshot.picker.pick(&Ask::now(None), |_| false).unwrap();
        counts[pick.member] += 1;
    }
    counts
}

#[test]
fn a_snapshot_has_the_weights_of_the_last_update_and_the_mean_where_nothing_is_known() {
    let mut scene = scene(ready(&[1, 2, 3]));
    assert_eq!(weights(&scene), [100, 100, 100]);
    report(&scene, 0, 0.25);
    report(&scene, 1, 0.75);
    let due = scene.membership.next_expiry().unwrap();
    // Not before it is due.
    scene.membership.expire(due - Duration::from_millis(1));
    assert_eq!(scene.now().version, 1);
    scene.membership.expire(due);
    assert_eq!(scene.now().version, 2);
    assert_eq!(weights(&scene), [150, 50, 100]);
    assert_eq!(shares(&scene, 60), [30, 10, 20]);
    // Who comes later has the mean, and the others keep their weights.
    scene.list(ready(&[1, 2, 3, 4]));
    assert_eq!(weights(&scene), [150, 50, 100, 100]);
    assert_eq!(scene.now().members[3].reported, Some(None));
}

#[test]
fn weights_that_stay_make_no_snapshot() {
    let mut scene = scene(ready(&[1, 2]));
    for member in [0, 1] {
        report(&scene, member, 0.5);
    }
    for version in [2, 2, 2] {
        let due = scene.membership.next_expiry().unwrap();
        scene.membership.expire(due);
        assert_eq!(scene.now().version, version);
    }
}

#[test]
fn who_is_drained_by_the_list_stays_so_whatever_it_reports() {
    let mut endpoints = ready(&[1, 2, 3]);
    endpoints[0].weight = 0;
    endpoints[1].weight = 7;
    let mut scene = scene(endpoints);
    for member in 0..3 {
        report(&scene, member, 0.5);
    }
    let due = scene.membership.next_expiry().unwrap();
    scene.membership.expire(due);
    assert_eq!(weights(&scene), [0, 100, 100]);
    assert_eq!(shares(&scene, 20), [0, 10, 10]);
}
