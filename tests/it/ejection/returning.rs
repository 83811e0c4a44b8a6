//! The way back: a trial decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::{ask_until_ejected, mendable, over};
use crate::support::slices::Entry;
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, Slices, manners};

#[tokio::test]
async fn a_mended_pod_comes_back_by_a_trial_after_a_second() {
    let mended = Arc::<AtomicBool>::default();
    let broken = Pod::scripted("broken", mendable(mended.clone())).await;
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good]).start().await;
    ask_until_ejected(&sidecar, &broken).await;
    mended.store(true, Relaxed);
    sidecar.until_state(&broken, "trial").await;
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    // The workers hear of it a moment later.
    eventually("the trial", async || {
        (client.get("/").await.pod() == "broken").then_some(())
    })
    .await;
    sidecar.until_state(&broken, "ready").await;
    eventually("its share again", async || {
        assert_eq!(client.get("/").await.status(), 200);
        (broken.record().heads.len() > before + 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_fails_its_trial_stays_out_for_longer_and_costs_one_request() {
    let broken = Pod::scripted("broken", manners::reset_after_request).await;
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good]).start().await;
    ask_until_ejected(&sidecar, &broken).await;
    sidecar.until_state(&broken, "trial").await;
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    eventually("the trial", async || {
        assert_eq!(client.get("/").await.pod(), "good");
        (broken.record().heads.len() > before).then_some(())
    })
    .await;
    sidecar.until_state(&broken, "ejected").await;
    let again = tokio::time::Instant::now();
    assert_eq!(client.get("/").await.pod(), "good");
    assert_eq!(broken.record().heads.len(), before + 1);
    sidecar.until_state(&broken, "trial").await;
    let took = again.elapsed();
    assert!(took > Duration::from_millis(1_400), "out for only {took:?}");
}

#[tokio::test]
async fn another_pod_on_the_same_address_starts_clean() {
    let mended = Arc::<AtomicBool>::default();
    let broken = Pod::scripted("broken", mendable(mended.clone())).await;
    let good = Pod::start("good").await;
    let slices = Slices::of([&broken, &good]);
    let sidecar = Sidecar::watching(&slices)
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    ask_until_ejected(&sidecar, &broken).await;
    mended.store(true, Relaxed);
    slices.set([Entry::with_uid(&broken, "another"), Entry::from(&good)]);
    let state = sidecar.until_state(&broken, "ready").await;
    assert_eq!(state["requests"], 0, "{state}");
    let before = broken.record().heads.len();
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        client.get("/").await;
    }
    assert!(broken.record().heads.len() > before);
}
