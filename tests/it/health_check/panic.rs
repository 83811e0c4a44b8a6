//! Checks that leave too few pods, by `--panic-threshold`.

use super::*;

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
