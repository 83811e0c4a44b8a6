mod checked;
mod ejection;
mod ended;
mod panic;
mod ramping;
mod reports;
mod scene;
mod silence;

use super::*;
use crate::balance::Ask;
use crate::endpoint::{AppProtocol, Standing};
use crate::error::{Flag, Kind};
use crate::outlier::{Cause, Outcome, Rule};
use crate::snapshot::{Health, Member};
use crate::stats::Count;

use scene::Scene;

/// Failures in a row that eject, where nothing else is set.
const THRESHOLD: u32 = 5;

fn round_robin() -> Choice {
    Choice {
        policy: Policy::RoundRobin,
        subset: None,
        slow_start: None,
        health_check: None,
        ejection: Ejection::default(),
        outliers: None,
        panic_threshold: None,
        rooms: None,
    }
}

fn endpoint(n: u8, uid: &str, standing: Standing) -> Endpoint {
    Endpoint {
        identity: Identity {
            address: ([10, 0, 0, n], 80).into(),
            uid: Some(uid.to_owned()),
        },
        pod: Some(format!("pod-{n}")),
        node: None,
        zone: None,
        protocol: AppProtocol::Http1,
        weight: 1,
        standing,
    }
}

fn ready(numbers: &[u8]) -> Vec<Endpoint> {
    numbers
        .iter()
        .map(|n| endpoint(*n, "first", Standing::Ready))
        .collect()
}

#[test]
fn a_list_replaces_the_one_before_and_only_used_endpoints_get_picks() {
    let mut scene = Scene::of(ready(&[1, 2]));
    assert_eq!(scene.picked(), [0, 1]);
    scene.list(vec![
        endpoint(2, "first", Standing::NotReady),
        endpoint(3, "first", Standing::Ready),
        endpoint(4, "first", Standing::Terminating),
    ]);
    assert_eq!(scene.now().members.len(), 3);
    assert_eq!(scene.picked(), [1]);
    scene.list(Vec::new());
    assert!(scene.now().picker.is_empty());
    assert_eq!(scene.metrics.updates.get(), 3);
}

#[test]
fn an_endpoint_that_stays_keeps_its_counters_and_a_new_pod_on_its_address_does_not() {
    let mut scene = Scene::of(ready(&[1]));
    scene.now().members[0].stats.shard(0).start();
    let before = scene.now().members[0].clone();
    scene.list(ready(&[1, 2]));
    let after = scene.now().members[0].clone();
    assert_eq!(after.stats.attempts(), 1);
    assert!(Arc::ptr_eq(&before.endpoint, &after.endpoint));
    scene.list(vec![endpoint(1, "second", Standing::Ready)]);
    assert_eq!(scene.now().members[0].stats.attempts(), 0);
}

#[tokio::test]
async fn the_gate_of_the_first_list_opens_with_an_empty_list_too() {
    let readiness = crate::readiness::Readiness::default();
    let gate = readiness.gate("first list");
    let (membership, mut snapshots) = Membership::new(
        "test".to_owned(),
        round_robin(),
        1,
        Arc::new(TargetStats::new(1)),
        Arc::default(),
        Instant::now(),
    );
    let (updates_in, updates) = mpsc::channel(1);
    let (_facts_in, facts) = mpsc::channel(1);
    let (_, reports) = mpsc::channel(1);
    let inlets = Inlets {
        updates,
        facts,
        reports,
    };
    let running = tokio::spawn(membership.run(inlets, gate));
    assert_eq!(readiness.pending(), ["first list"]);
    updates_in
        .send(Update {
            endpoints: Vec::new(),
            received: Instant::now(),
            triggered: None,
        })
        .await
        .unwrap();
    snapshots
        .wait_for(|snapshot| snapshot.version == 1)
        .await
        .unwrap();
    drop(updates_in);
    running.await.unwrap();
    assert!(readiness.pending().is_empty());
}
