//! From some pods to none and back, and to many.

use std::time::Duration;

use crate::kubelet::Habits;
use crate::load::Load;
use crate::scene::{Scene, Standing};

#[tokio::test]
async fn requests_wait_while_a_service_is_scaled_to_zero_and_back() {
    let drain = Duration::from_secs(2);
    let scene = Scene::open("scale-to-zero", Habits::draining(drain)).await;
    scene.cart(2).await;
    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    sidecar.settled(2).await;
    let mut load = Load::start(sidecar.proxy(), 4, Duration::from_millis(5));
    load.more(100).await;

    scene.scale("cart", 0).await;
    sidecar
        .target(
            "pods that terminate but serve are used when no other is left",
            |target| target.in_state("fallback") == 2,
        )
        .await;
    load.more(50).await;

    sidecar.settled(0).await;
    load.silent_for(Duration::from_millis(500)).await;
    scene.scale("cart", 2).await;
    sidecar.settled(2).await;
    load.more(100).await;

    let tally = load.finish().await;
    tally.assert_none_failed();
    assert!(
        tally.slowest > Duration::from_millis(500),
        "no request was held: {tally:?}"
    );
}

#[tokio::test]
async fn all_slices_of_a_large_service_count() {
    const PODS: usize = 250;
    let scene = Scene::open("large", Habits::draining(Duration::from_secs(2))).await;
    scene.cart(PODS).await;
    let slices = scene
        .slices("cart", "the slices are there", |slices| !slices.is_empty())
        .await;
    assert!(slices.len() > 2, "{} pods in {} slices", PODS, slices.len());

    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    sidecar.settled(PODS).await;
    let mut load = Load::start(sidecar.proxy(), 4, Duration::ZERO);
    load.more(4 * PODS).await;
    let tally = load.finish().await;
    tally.assert_none_failed();
    assert_eq!(tally.by_pod.len(), PODS, "{tally:?}");
    let (least, most) = (tally.by_pod.values().min(), tally.by_pod.values().max());
    assert!(
        most <= least.map(|least| least + 1).as_ref(),
        "{least:?} to {most:?}"
    );

    // Slices empty, shrink and merge on the way down.
    let mut load = Load::start(sidecar.proxy(), 4, Duration::from_millis(5));
    scene.scale("cart", 20).await;
    scene.settled("cart", 20).await;
    sidecar.settled(20).await;
    load.more(100).await;
    load.finish().await.assert_none_failed();
    let slices = scene
        .slices("cart", "the slices are read again", |_| true)
        .await;
    assert_eq!(Standing::of(&slices).ready, 20, "{slices:?}");
}
