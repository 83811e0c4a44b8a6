//! Weights by what pods report of their load.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;

use super::spread;
use crate::support::http2::{Exchange, H2Client, call, script};
use crate::support::{Pod, Sidecar, eventually, manners};

/// Reports count at once, and weights are made often.
const AT_ONCE: &str = "weighted:orca:blackout=0:update=100ms";

/// A pod that serves a hundred requests a second, by its own word, and so much of it is in use.
async fn reporting(name: &str, utilization: f64) -> Pod {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nx-pod: {name}\r\ncontent-length: 0\r\n\
         endpoint-load-metrics: TEXT cpu_utilization={utilization},rps_fractional=100\r\n\r\n"
    );
    Pod::scripted(name, manners::say(answer)).await
}

/// The same over HTTP/2, told in trailers as gRPC servers do; without a word where there is no utilization.
async fn reporting_calls(name: &str, utilization: Option<f64>) -> Pod {
    let report = utilization.map(|utilization| {
        let double =
            |field: u8, number: f64| [&[field << 3 | 1][..], &number.to_le_bytes()].concat();
        STANDARD_NO_PAD.encode([double(9, utilization), double(6, 100.0)].concat())
    });
    let each = move |mut exchange: Exchange| {
        let report = report.clone();
        async move {
            exchange.read().await?;
            let mut body = exchange.respond.send_response(exchange.ok(), false)?;
            body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false)?;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            if let Some(report) = &report {
                trailers.insert("endpoint-load-metrics-bin", report.parse().unwrap());
            }
            body.send_trailers(trailers)
        }
    };
    Pod::scripted(name, script(each)).await
}

/// What is made of each pod's reports, in the order of `pods`.
async fn weights(sidecar: &Sidecar, pods: &[Pod]) -> Vec<Option<f64>> {
    let mut weights = Vec::new();
    for pod in pods {
        weights.push(sidecar.state_of(pod).await["reported_weight"].as_f64());
    }
    weights
}

#[tokio::test]
async fn pods_get_shares_by_what_they_report() {
    let pods = [
        reporting("a", 0.2).await,
        reporting("b", 0.4).await,
        reporting("c", 0.8).await,
    ];
    let sidecar = Sidecar::over(&pods).with("--policy", AT_ONCE).start().await;
    assert_eq!(weights(&sidecar, &pods).await, [None, None, None]);
    let mut client = sidecar.client().await;
    eventually("weights of all", async || {
        for _ in 0..3 {
            let answer = client.get("/").await;
            // The client is told, too.
            assert!(answer.field("endpoint-load-metrics").is_some());
        }
        let wanted = [Some(1.71), Some(0.86), Some(0.43)];
        (weights(&sidecar, &pods).await == wanted).then_some(())
    })
    .await;
    let counts = spread(&sidecar, 6, 50).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [171, 86, 43]);
    let address = pods[2].address.to_string();
    let labels = [address.as_str()];
    let weight = sidecar.metric("podrobin_pod_reported_weight", &labels);
    assert_eq!(weight.await, 0.43);
}

#[tokio::test]
async fn a_report_in_trailers_counts_and_who_reports_nothing_gets_the_mean() {
    let pods = [
        reporting_calls("a", Some(0.25)).await,
        reporting_calls("b", Some(0.75)).await,
        reporting_calls("c", None).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .http2_to_pods()
        .with("--policy", AT_ONCE)
        .start()
        .await;
    let client = H2Client::connect(sidecar.proxy).await;
    let ask = async || client.send(call("/shop.Cart/Get"), b"").await;
    eventually("weights of those who report", async || {
        for _ in 0..3 {
            let answer = ask().await;
            let told = answer.trailers.contains_key("endpoint-load-metrics-bin");
            assert_eq!(told, answer.pod() != "c");
        }
        let wanted = [Some(1.5), Some(0.5), None];
        (weights(&sidecar, &pods).await == wanted).then_some(())
    })
    .await;
    let mut counts = [("a", 0), ("b", 0), ("c", 0)];
    for _ in 0..60 {
        let answer = ask().await;
        assert_eq!(answer.code(), Some("0"));
        for (name, count) in &mut counts {
            *count += usize::from(answer.pod() == *name);
        }
    }
    assert_eq!(counts, [("a", 30), ("b", 10), ("c", 20)]);
}

#[tokio::test]
async fn without_the_policy_a_report_is_nothing_to_podrobin() {
    let pods = [reporting("a", 0.2).await, reporting("b", 0.8).await];
    let sidecar = Sidecar::over(&pods).start().await;
    let counts = spread(&sidecar, 2, 10).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [10, 10]);
    let state = sidecar.state_of(&pods[0]).await;
    assert!(state.get("reported_weight").is_none(), "{state}");
    assert!(
        sidecar
            .get("/")
            .await
            .field("endpoint-load-metrics")
            .is_some()
    );
}
