//! How many pods may be left out at once.

use serde_json::Value;

use super::over;
use crate::support::log::field;
use crate::support::within::eventually;
use crate::support::{Pod, manners};

#[tokio::test]
async fn two_of_three_pods_whose_addresses_are_dead_are_both_left_out() {
    let good = Pod::start("good").await;
    let dead = [Pod::swallowing("a").await, Pod::refusing("b")];
    let sidecar = over([&good, &dead[0], &dead[1]]).start().await;
    let mut client = sidecar.client().await;
    // Others are tried only once their time has passed, one request each.
    eventually("both left out at once", async || {
        assert_eq!(client.get("/").await.pod(), "good");
        let left_out = sidecar
            .metric("podrobin_endpoints", &["state=\"ejected\""])
            .await;
        (left_out == 2.0).then_some(())
    })
    .await;
    assert_eq!(sidecar.state_of(&good).await["state"], "ready");
}

#[tokio::test]
async fn when_the_last_one_fails_too_the_log_says_that_ejections_are_lifted() {
    let mut good = Pod::start("good").await;
    let dead = [Pod::refusing("a"), Pod::refusing("b")];
    let sidecar = over([&good, &dead[0], &dead[1]]).start().await;
    let mut client = sidecar.client().await;
    eventually("both left out at once", async || {
        client.get("/").await;
        let left_out = sidecar
            .metric("podrobin_endpoints", &["state=\"ejected\""])
            .await;
        (left_out == 2.0).then_some(())
    })
    .await;
    good.kill().await;
    let address = good.address.to_string();
    let about_it = |line: &Value| {
        line.to_string().contains(&address) && !field(line, "message").contains("endpoints changed")
    };
    eventually("the good one to have failed often enough", async || {
        client.get("/").await;
        (!sidecar.log.matching(about_it).is_empty()).then_some(())
    })
    .await;
    let said = sidecar.log.matching(about_it);
    assert!(field(&said[0], "message").contains("lifted"), "{said:?}");
}

#[tokio::test]
async fn never_more_than_half_of_those_that_take_requests_are_left_out() {
    let mut pods = vec![Pod::start("good").await];
    for name in ["a", "b", "c"] {
        pods.push(Pod::scripted(name, manners::reset_after_request).await);
    }
    let sidecar = over(&pods).start().await;
    let mut client = sidecar.client().await;
    // Until the third has failed often enough to be left out too.
    eventually("two pods left out, and failures of the third", async || {
        client.get("/").await;
        let state = sidecar.state().await;
        let endpoints = state["endpoints"].as_array().unwrap();
        let (ready, left_out): (Vec<&Value>, Vec<&Value>) = endpoints
            .iter()
            .partition(|endpoint| endpoint["state"] == "ready");
        assert!(left_out.len() <= 2, "{state}");
        let third = ready
            .iter()
            .find(|endpoint| endpoint["address"] != pods[0].address.to_string().as_str());
        let failures = third.unwrap()["requests"].as_u64().unwrap();
        (left_out.len() == 2 && failures >= 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_only_pod_is_never_left_out() {
    let pod = Pod::refusing("a");
    let sidecar = over([&pod]).start().await;
    for _ in 0..10 {
        assert_eq!(sidecar.get("/").await.flag(), Some("UF"));
    }
    assert_ne!(sidecar.state_of(&pod).await["state"], "ejected");
}
