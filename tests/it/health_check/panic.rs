//! Checks that leave too few pods, by `--panic-threshold`.

use serde_json::Value;

use super::waiting::gated;
use super::*;
use crate::support::Slices;

#[tokio::test]
async fn below_the_threshold_pods_that_fail_their_checks_are_used_until_enough_pass() {
    let well = [true, true, true, true].map(|well| Arc::new(AtomicBool::new(well)));
    let mut pods = Vec::new();
    for (name, well) in ["a", "b", "c", "d"].into_iter().zip(&well) {
        pods.push(telling(name, well).await);
    }
    let sidecar = checking(&pods, "http:/healthz")
        .with("--panic-threshold", "60")
        .start()
        .await;
    well[0].store(false, Relaxed);
    sidecar.until_state(&pods[0], "unhealthy").await;
    well[1].store(false, Relaxed);
    for pod in &pods[..2] {
        let state = sidecar.until_state(pod, "panic").await;
        assert!(state["reason"].as_str().unwrap().contains("503"));
    }
    assert_eq!(sidecar.metric("podrobin_panic", &[]).await, 1.0);
    let mut client = sidecar.client().await;
    // The workers hear of it a moment later.
    eventually("a request for the first that failed", async || {
        (client.get("/").await.pod() == "a").then_some(())
    })
    .await;

    well[1].store(true, Relaxed);
    sidecar.until_state(&pods[0], "unhealthy").await;
    sidecar.until_state(&pods[1], "ready").await;
    assert_eq!(sidecar.metric("podrobin_panic", &[]).await, 0.0);
}

#[tokio::test]
async fn that_requests_are_held_is_said_when_they_are_and_not_when_all_pods_are_used() {
    let well = Arc::new(AtomicBool::new(true));
    let told = telling("told", &well).await;
    let (second, _never) = gated("second").await;
    let (third, _neither) = gated("third").await;
    let slices = Slices::of([&told]);
    let sidecar = Sidecar::watching(&slices)
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "50ms")
        .with("--health-check-timeout", "60s")
        .with("--new-pods", "wait")
        .with("--panic-threshold", "60")
        .with("--hold", "30s")
        .start()
        .await;
    let held = |line: &Value| field(line, "message").starts_with("requests are held until");
    let panic = |line: &Value| field(line, "message").starts_with("panic: fewer than");
    sidecar.until_state(&told, "ready").await;
    slices.set([&told, &second]);
    sidecar.until_state(&second, "unchecked").await;
    let before = sidecar.log.matching(held).len();
    // The one that has passed fails: of two only the one that waits is usable.
    well.store(false, Relaxed);
    sidecar.until_state(&second, "panic").await;
    sidecar.log.until("the panic", 1, panic).await;
    assert_eq!(sidecar.log.matching(held).len(), before);
    // Two of three are enough, but have to be checked.
    slices.set([&told, &second, &third]);
    sidecar.until_state(&second, "unchecked").await;
    sidecar
        .log
        .until("requests that are held", before + 1, held)
        .await;
}
