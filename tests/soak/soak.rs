//! What happens when, and what must be true in the end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use podrobin::demo::api::Api;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::fleet::{Fleet, NAMESPACE};
use crate::ledger::Ledger;
use crate::pod::Manner;
use crate::shares;
use crate::sidecar::{Resources, SOON, Sidecar};
use crate::traffic::{Mix, Traffic};

const PODS: usize = 4;

/// A rollout's step, and one kind of trouble after it.
const ROUND: Duration = Duration::from_secs(5);

/// How long a pod misbehaves, or the API is out.
const TROUBLE: Duration = Duration::from_secs(2);

/// Rounds before anything is measured: each kind of trouble once.
const WARM_UP: usize = 4;

/// Memory that an allocator may keep after the warm-up, however long the soak is: up to 9 MiB were seen in 400 s.
const SLACK: u64 = 16 * 1024 * 1024;

/// Connections to the API server that come and go: two for each Service, as its watch begins anew or the Service is read.
const API_CONNECTIONS: usize = 4;

/// Tasks of these connections, which have two each.
const API_TASKS: f64 = 8.0;

/// Threads for blocking work, such as looking up a name, that come and go.
const HELPERS: u64 = 2;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Crash,
    Reset,
    Hang,
    Outage,
}

const TROUBLES: [Trouble; WARM_UP] = [
    Trouble::Crash,
    Trouble::Reset,
    Trouble::Hang,
    Trouble::Outage,
];

/// The API server, which can be out.
struct Server {
    api: Api,
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new().bookmark_every(Duration::from_secs(1));
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
            "current-context": "here",
        });
        std::fs::write(directory.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self {
            serving: tokio::spawn(api.clone().serve(listener)),
            api,
            address,
        }
    }

    /// Watches break off and nobody answers; afterwards its history is gone.
    async fn be_out(&mut self, duration: Duration) {
        self.serving.abort();
        sleep(duration).await;
        self.api.compact();
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = tokio::spawn(self.api.clone().serve(listener));
    }
}

#[tokio::test]
async fn nothing_fails_that_could_be_saved_and_nothing_grows() {
    let seconds = std::env::var("PODROBIN_SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path()).await;
    let ledger = Arc::<Ledger>::default();
    let api = server.api.clone();
    let mut shop = Fleet::start("shop", false, PODS, &api, &ledger).await;
    let mut calls = Fleet::start("calls", true, PODS, &api, &ledger).await;
    let kubeconfig = directory.path().join("kubeconfig");
    let sidecar = Sidecar::start(&kubeconfig, NAMESPACE, &["shop", "calls"]).await;
    let mixes = [
        Mix {
            address: sidecar.listeners["shop"],
            calls: false,
            tunnels: true,
        },
        Mix {
            address: sidecar.listeners["calls"],
            calls: true,
            tunnels: false,
        },
    ];

    let mut warm = None;
    let mut rounds = 0;
    let mut traffic = Traffic::start(&mixes, &ledger);
    while Instant::now() < end || warm.is_none() {
        let begun = tokio::time::Instant::now();
        for fleet in [&mut shop, &mut calls] {
            fleet.roll().await;
        }
        sleep(Duration::from_millis(500)).await;
        match TROUBLES[rounds % TROUBLES.len()] {
            Trouble::Crash => {
                shop.crash().await;
                calls.crash().await;
            }
            Trouble::Reset => misbehave(&shop, &calls, Manner::Reset).await,
            Trouble::Hang => misbehave(&shop, &calls, Manner::Hang).await,
            Trouble::Outage => server.be_out(TROUBLE).await,
        }
        tokio::time::sleep_until(begun + ROUND).await;
        rounds += 1;
        if rounds == WARM_UP {
            traffic.stop().await;
            renew([&mut shop, &mut calls]).await;
            warm = Some(at_rest(&sidecar).await);
            traffic = Traffic::start(&mixes, &ledger);
        }
    }
    traffic.stop().await;
    renew([&mut shop, &mut calls]).await;
    let last = at_rest(&sidecar).await;
    for (mix, fleet) in mixes.iter().zip([&shop, &calls]) {
        shares::are_exact(mix.address, fleet, &ledger).await;
    }

    let retries = sidecar.metric("podrobin_retries_total").await;
    let ejections = sidecar.metric("podrobin_ejections_total").await;
    let (ended_well, said) = sidecar.end().await;
    println!("{rounds} rounds, {retries} retries, {ejections} ejections");
    for (kind, count) in ledger.counts() {
        println!("{kind}: {count:?}");
    }
    let warm = warm.unwrap();
    println!("after the warm-up {warm:?}\nat the end       {last:?}");
    let failed = ledger.failed();
    assert!(failed.is_empty(), "{failed:#?}\n{}", said.join("\n"));
    for (kind, count) in ledger.counts() {
        assert!(count.answered > 0, "nothing was answered of {kind}");
    }
    let files = warm.files + API_CONNECTIONS;
    assert!(last.files <= files, "files: {warm:?} {last:?}");
    let tasks = warm.tasks + API_TASKS;
    assert!(last.tasks <= tasks, "tasks: {warm:?} {last:?}");
    let threads = warm.threads + HELPERS;
    assert!(last.threads <= threads, "threads: {warm:?} {last:?}");
    assert!(
        last.memory <= warm.memory + SLACK,
        "memory: {warm:?} {last:?}"
    );
    let said = said.join("\n");
    assert!(ended_well && !said.contains("panicked at"), "{said}");
}

async fn misbehave(shop: &Fleet, calls: &Fleet, manner: Manner) {
    for fleet in [shop, calls] {
        fleet.pods[0].behave(manner);
    }
    sleep(TROUBLE).await;
    for fleet in [shop, calls] {
        fleet.pods[0].behave(Manner::Answer);
    }
}

/// Pods without a past: none of them is ejected, and there are no connections to them yet.
async fn renew(fleets: [&mut Fleet; 2]) {
    for fleet in fleets {
        for _ in 0..PODS {
            fleet.roll().await;
        }
    }
}

/// Waits until it knows the pods that there are and nobody uses it any more, and says what it holds then.
async fn at_rest(sidecar: &Sidecar) -> Resources {
    stands_still(sidecar).await;
    let resting = async {
        loop {
            let mut left = 0.0;
            for gauge in [
                "podrobin_requests_in_flight",
                "podrobin_client_connections_open",
                "podrobin_upstream_connections_open",
            ] {
                left += sidecar.metric(gauge).await;
            }
            if left == 0.0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(SOON, resting).await.is_err() {
        panic!("not at rest:\n{}", sidecar.ask("/metrics").await.1);
    }
    // The looks at it were connections too.
    sleep(Duration::from_secs(1)).await;
    sidecar.resources().await
}

/// Waits until it has heard of the last change: every endpoint is ready, and there are no others.
async fn stands_still(sidecar: &Sidecar) {
    let standing = async {
        loop {
            let (_, state) = sidecar.ask("/state").await;
            let state: serde_json::Value = serde_json::from_str(&state).unwrap();
            let still = state["targets"].as_array().unwrap().iter().all(|target| {
                let endpoints = target["endpoints"].as_array().unwrap();
                endpoints.len() == PODS && endpoints.iter().all(|pod| pod["state"] == "ready")
            });
            if still {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(SOON, standing).await.is_err() {
        panic!("not still:\n{}", sidecar.ask("/state").await.1);
    }
}
