//! Rollouts of a Deployment under load.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::kubelet::{Addresses, Habits};
use crate::load::{Client, Load};
use crate::pod::Exit;
use crate::scene::Scene;

#[tokio::test]
async fn a_rollout_under_load_loses_nothing() {
    let scene = Scene::open("rollout", Habits::draining(Duration::from_millis(500))).await;
    roll_under_load(&scene).await;
}

/// The application closes its connections at SIGTERM, requests in flight with them: all of them are GETs, which may be
/// sent again.
#[tokio::test]
async fn a_rollout_of_apps_that_exit_at_once_loses_no_get() {
    let habits = Habits {
        exit: Exit::AtOnce,
        addresses: Addresses::Ipv4,
    };
    let scene = Scene::open("rollout-abrupt", habits).await;
    roll_under_load(&scene).await;
}

#[tokio::test]
async fn requests_go_round_the_pods_in_turn() {
    let scene = Scene::open("in-turn", Habits::draining(Duration::ZERO)).await;
    scene.cart(3).await;
    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    sidecar.settled(3).await;

    let mut client = Client::new(sidecar.proxy());
    let mut order = Vec::new();
    for _ in 0..30 {
        order.push(client.get().await.unwrap());
    }

    let first: BTreeSet<&String> = order[..3].iter().collect();
    assert_eq!(first.len(), 3, "{order:?}");
    for (turn, pod) in order.iter().enumerate() {
        assert_eq!(*pod, order[turn % 3], "turn {turn} of {order:?}");
    }
    for endpoint in sidecar.state().await.endpoints {
        assert_eq!(endpoint.requests, 10, "{endpoint:?}");
    }
}

async fn roll_under_load(scene: &Scene) {
    scene.cart(3).await;
    let mut sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    let before = pods(&sidecar.settled(3).await.endpoints);

    let mut load = Load::start(sidecar.proxy(), 6, Duration::from_millis(5));
    load.more(300).await;
    scene.roll("cart").await;
    scene.settled("cart", 3).await;
    let after = pods(&sidecar.settled(3).await.endpoints);
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");

    // Requests that a pod already has may still be answered by it: count from a moment when none is on its way.
    load.more(50).await;
    let rolled = load.tally();
    load.more(300).await;
    let tally = load.finish().await;
    tally.assert_none_failed();
    let served: BTreeSet<String> = tally.since(&rolled).into_keys().collect();
    assert_eq!(served, after);

    let end = sidecar.terminate().await;
    assert!(end.success(), "{end}; its log:\n{}", sidecar.lines());
}

fn pods(endpoints: &[crate::sidecar::Endpoint]) -> BTreeSet<String> {
    endpoints
        .iter()
        .filter_map(|endpoint| endpoint.pod.clone())
        .collect()
}
