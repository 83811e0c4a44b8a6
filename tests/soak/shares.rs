//! Each pod's share of the requests while the set of pods stands still.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Version;
use tokio::task::JoinSet;

use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::traffic::{Ask, checked, connect_http1, connect_http2};

/// Requests for each pod.
const EACH: usize = 100;

/// Asks over many connections of one version and over one of the other, with nothing else going on: every pod gets the
/// same number.
pub async fn are_exact(address: SocketAddr, fleet: &Fleet, ledger: &Arc<Ledger>) {
    let pods = fleet.pods.len();
    let before: Vec<u64> = fleet.pods.iter().map(crate::pod::Pod::served).collect();
    let mut clients = JoinSet::new();
    for _ in 0..pods {
        let ledger = ledger.clone();
        clients.spawn(async move {
            let mut sender = connect_http1(address).await;
            for _ in 0..EACH / 2 {
                let ask = Ask::plain();
                let entry = ledger.begin("share", ask.repeatable());
                sender.ready().await.unwrap();
                let request = ask.request(&entry, Version::HTTP_11);
                let outcome = checked(&ask, &entry, sender.send_request(request)).await;
                ledger.end(&entry, outcome);
            }
        });
    }
    let sender = connect_http2(address).await;
    for _ in 0..pods {
        let (ledger, mut sender) = (ledger.clone(), sender.clone());
        clients.spawn(async move {
            for _ in 0..EACH / 2 {
                let ask = Ask::plain();
                let entry = ledger.begin("share", ask.repeatable());
                sender.ready().await.unwrap();
                let request = ask.request(&entry, Version::HTTP_2);
                let outcome = checked(&ask, &entry, sender.send_request(request)).await;
                ledger.end(&entry, outcome);
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let shares: Vec<u64> = fleet
        .pods
        .iter()
        .zip(before)
        .map(|(pod, before)| pod.served() - before)
        .collect();
    println!("shares of {}: {shares:?}", fleet.service);
    assert_eq!(shares, vec![EACH as u64; pods], "{}", fleet.service);
}
