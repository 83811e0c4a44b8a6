//! Pods that do worse than the others.

use std::time::Duration;

use crate::support::pod::Session;
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, manners};

/// Asks until the pod is left out for such a reason.
async fn ask_until_it_stands_out(odd: Pod, flag: &str, threshold: &str, cause: &str, reason: &str) {
    let good = [Pod::start("a").await, Pod::start("b").await];
    let sidecar = Sidecar::over([&good[0], &good[1], &odd])
        .with(flag, threshold)
        .with("--eject-interval", "1s")
        .with("--eject-min-requests", "5")
        .with("--eject-min-pods", "3")
        .start()
        .await;
    let mut client = sidecar.client().await;
    eventually("the odd pod left out", async || {
        client.get("/").await;
        let state = sidecar.state_of(&odd).await;
        let said = state["reason"].as_str().unwrap_or_default();
        said.contains(reason).then_some(())
    })
    .await;
    for pod in &good {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
    }
    assert_eq!(sidecar.state_of(&odd).await["cause"], cause);
    let cause = format!("cause=\"{cause}\"");
    let labels = [cause.as_str(), "flag=\"-\""];
    let ejections = sidecar.metric("podrobin_ejections_total", &labels).await;
    assert!(ejections >= 1.0);
}

#[tokio::test]
async fn a_pod_that_fails_a_part_of_its_requests_stands_out_by_its_success_rate() {
    let shaky = Pod::scripted("shaky", |mut session: Session| async move {
        let mut count = 0_u32;
        while session.request().await?.is_some() {
            count += 1;
            let head = match count % 5 {
                0 => "500 Oops",
                _ => "200 OK",
            };
            let answer = format!("HTTP/1.1 {head}\r\nx-pod: shaky\r\ncontent-length: 0\r\n\r\n");
            session.wire.send(&answer).await?;
        }
        Ok(())
    })
    .await;
    ask_until_it_stands_out(
        shaky,
        "--eject-success-rate",
        "1.2",
        "success_rate",
        "requests succeeded",
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_fails_too_much_stands_out() {
    let erring = manners::say("HTTP/1.1 500 Oops\r\nx-pod: erring\r\ncontent-length: 0\r\n\r\n");
    let erring = Pod::scripted("erring", erring).await;
    ask_until_it_stands_out(
        erring,
        "--eject-failure-percentage",
        "50",
        "failure_percentage",
        "100 %",
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_is_far_slower_than_the_others_stands_out() {
    let slow = Pod::scripted("slow", |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = "HTTP/1.1 200 OK\r\nx-pod: slow\r\ncontent-length: 0\r\n\r\n";
            session.wire.send(answer).await?;
        }
        Ok(())
    })
    .await;
    ask_until_it_stands_out(slow, "--eject-latency", "5", "latency", "on average").await;
}
