//! A list of addresses that never changes.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::{Outlet, Phase, Status, Update};
use crate::config::FixedPod;
use crate::endpoint::{AppProtocol, Endpoint, Identity, Standing};

/// Publishes the addresses once, then keeps the outlet open until membership is gone.
pub async fn run(pods: Vec<FixedPod>, outlet: Outlet) {
    let update = Update {
        endpoints: endpoints(pods),
        received: Instant::now(),
        triggered: None,
    };
    if outlet.updates.send(update).await.is_err() {
        return;
    }
    let now = SystemTime::now();
    outlet.status.send_replace(Status {
        phase: Phase::Live,
        since: now,
        fresh: Some(now),
        error: None,
    });
    outlet.updates.closed().await;
}

/// One ready endpoint for each address, however often it was given.
fn endpoints(pods: Vec<FixedPod>) -> Vec<Endpoint> {
    pods.into_iter()
        .map(|pod| (pod.address, pod.weight))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .map(|(address, weight)| Endpoint {
            identity: Identity { address, uid: None },
            pod: None,
            node: None,
            zone: None,
            protocol: AppProtocol::Http1,
            weight,
            standing: Standing::Ready,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;

    #[tokio::test]
    async fn publishes_once_and_stays_live_until_membership_is_gone() {
        let (updates, mut received) = mpsc::channel(1);
        let (status, mut seen) = watch::channel(Status {
            phase: Phase::Starting,
            since: SystemTime::UNIX_EPOCH,
            fresh: None,
            error: None,
        });
        let addresses = ["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"];
        let pods = addresses.map(|text| FixedPod {
            address: text.parse().unwrap(),
            weight: 1,
        });
        let source = tokio::spawn(run(pods.to_vec(), Outlet { updates, status }));

        let update = received.recv().await.unwrap();
        let listed: Vec<String> = update.endpoints.iter().map(Endpoint::name).collect();
        assert_eq!(listed, ["10.0.0.1:80", "10.0.0.2:80"]);
        assert!(update.endpoints.iter().all(Endpoint::is_used));

        seen.changed().await.unwrap();
        assert_eq!(seen.borrow().phase, Phase::Live);
        assert!(seen.borrow().fresh.is_some());
        assert!(!source.is_finished());

        drop(received);
        source.await.unwrap();
    }
}
