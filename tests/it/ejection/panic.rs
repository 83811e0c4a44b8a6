//! Where too few pods are usable all are used, and it is said.

use super::*;

fn about_panic(line: &Value, begins: bool) -> bool {
    let start = if begins { "panic:" } else { "no panic" };
    field(line, "message").starts_with(start)
}

#[tokio::test]
async fn below_the_threshold_those_that_were_ejected_are_used_until_enough_are_back() {
    let mended = Arc::<AtomicBool>::default();
    let pods = [
        Pod::scripted("a", mendable(mended.clone())).await,
        Pod::scripted("b", mendable(mended.clone())).await,
        Pod::start("c").await,
        Pod::start("d").await,
    ];
    let sidecar = over(&pods).with("--panic-threshold", "60").start().await;
    let mut client = sidecar.client().await;
    let state = eventually("the panic", async || {
        assert_eq!(client.get("/").await.status(), 200);
        let state = sidecar.state().await;
        (state["panic"] == true).then_some(state)
    })
    .await;
    for (index, wanted) in ["panic", "panic", "ready", "ready"].into_iter().enumerate() {
        let address = pods[index].address.to_string();
        let mut endpoints = state["endpoints"].as_array().unwrap().iter();
        let endpoint = endpoints.find(|endpoint| endpoint["address"] == address.as_str());
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint["state"], wanted, "{state}");
        if wanted == "panic" {
            assert_eq!(endpoint["cause"], "failures");
        }
    }
    assert_eq!(sidecar.metric("podrobin_panic", &[]).await, 1.0);
    let begun = sidecar
        .log
        .until("the panic", 1, |line| about_panic(line, true));
    assert!(field(&begun.await[0], "message").contains("60 %"));

    let before = [0, 1].map(|pod: usize| pods[pod].record().heads.len());
    eventually("requests for both", async || {
        assert_eq!(client.get("/").await.status(), 200);
        let more = |pod: usize| pods[pod].record().heads.len() > before[pod];
        (more(0) && more(1)).then_some(())
    })
    .await;

    mended.store(true, Relaxed);
    eventually("its end", async || {
        client.get("/").await;
        (sidecar.state().await["panic"] == false).then_some(())
    })
    .await;
    assert_eq!(sidecar.metric("podrobin_panic", &[]).await, 0.0);
    sidecar
        .log
        .until("its end", 1, |line| about_panic(line, false))
        .await;
}

#[tokio::test]
async fn as_many_usable_pods_as_the_threshold_says_are_enough() {
    let broken = Pod::scripted("broken", manners::reset_after_request).await;
    let good = Pod::start("good").await;
    let sidecar = over([&broken, &good])
        .with("--panic-threshold", "50")
        .start()
        .await;
    ask_until_ejected(&sidecar, &broken).await;
    assert_eq!(sidecar.state().await["panic"], false);
    assert_eq!(sidecar.metric("podrobin_panic", &[]).await, 0.0);
    assert_eq!(
        sidecar.log.matching(|line| about_panic(line, true)).len(),
        0
    );
}
