mod metrics;
mod readiness;
mod server;
mod state;

use std::collections::HashSet;
use std::time::{Instant, UNIX_EPOCH};

use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::admission::{Pending, PodConnections, PodLimit};
use crate::balance::{Balancer, Ramp};
use crate::config::SlowStart;
use crate::discovery::Phase;
use crate::endpoint::{AppProtocol, Endpoint, Identity, Standing};
use crate::error::{self, Flag};
use crate::outlier::Cause;
use crate::snapshot::{Health, Member};
use crate::stats::{Count, EndpointStats, Outcome, PeakEwma};

/// A target with its senders, so that a test can move it.
struct Stage {
    readiness: Readiness,
    snapshots: watch::Sender<Arc<Snapshot>>,
    status: watch::Sender<Status>,
    stats: Arc<TargetStats>,
    metrics: Arc<TargetMetrics>,
}

impl Stage {
    fn new(members: Vec<Member>) -> Self {
        let status = Status {
            phase: Phase::Stale,
            since: at(90),
            fresh: Some(at(80)),
            error: Some("403: grant list on endpointslices".to_owned()),
        };
        Self {
            readiness: Readiness::default(),
            snapshots: watch::Sender::new(snapshot(2, members)),
            status: watch::Sender::new(status),
            stats: Arc::new(TargetStats::new(2)),
            metrics: Arc::default(),
        }
    }

    fn state(&self) -> Arc<AdminState> {
        Arc::new(self.bare_state())
    }

    fn bare_state(&self) -> AdminState {
        AdminState {
            readiness: self.readiness.clone(),
            started: at(10),
            pod: OwnPod {
                name: Some("web-1".to_owned()),
                ..OwnPod::default()
            },
            runtimes: vec![tokio::runtime::Handle::current().metrics()],
            targets: vec![TargetView {
                name: "shop/cart:http".to_owned(),
                listen: "127.0.0.1:8000".parse().unwrap(),
                policy: Policy::RoundRobin,
                snapshots: self.snapshots.subscribe(),
                status: self.status.subscribe(),
                stats: self.stats.clone(),
                metrics: self.metrics.clone(),
            }],
        }
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

const NOW: u64 = 100;

fn snapshot(version: u64, members: Vec<Member>) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        version,
        panics: false,
        members,
        picker: Balancer::new(&Policy::RoundRobin, &Arc::new(TargetStats::new(1))).picker(&[]),
        published: at(95),
    })
}

fn member(number: u8, standing: Standing, health: Health) -> Member {
    Member {
        endpoint: Arc::new(Endpoint {
            identity: Identity {
                address: SocketAddr::from(([10, 0, 0, number], 8080)),
                uid: Some(format!("uid-{number}")),
            },
            pod: Some(format!("cart-{number}")),
            node: Some("node-a".to_owned()),
            zone: Some("zone-a".to_owned()),
            protocol: AppProtocol::Http1,
            weight: 1,
            standing,
        }),
        health,
        ramp: None,
        reported: None,
        stats: Arc::new(EndpointStats::new(2, Instant::now())),
    }
}

/// One whose latency is known: 20 ms.
fn with_latency(number: u8) -> Member {
    let now = Instant::now();
    let latency = PeakEwma::new(Duration::from_secs(10), now);
    latency.observe(Outcome::Answered, Duration::from_millis(20), now);
    Member {
        stats: Arc::new(EndpointStats::new(2, now).with_latency(latency)),
        ..member(number, Standing::Ready, Health::Healthy)
    }
}

/// One that is given seven requests at most, and three connections.
fn limited(number: u8) -> Member {
    let pending = Pending::new(1);
    let limit = PodLimit::new(7, pending.clone());
    let connections = PodConnections::new(3, 2, pending);
    let stats = EndpointStats::new(2, Instant::now()).with_limit(limit);
    Member {
        stats: Arc::new(stats.with_connections(connections)),
        ..member(number, Standing::Ready, Health::Healthy)
    }
}

#[tokio::test]
async fn a_pods_limit_and_who_waits_for_room_are_told() {
    let stage = Stage::new(vec![limited(1)]);
    let shard = stage.stats.shard(0);
    for count in [
        Count::PendingStarted,
        Count::PendingStarted,
        Count::PendingEnded,
        Count::PendingTimedOut,
    ] {
        shard.add(count);
    }
    let state = stage.state();
    let (_, text) = get(&state, "/state").await;
    let target = serde_json::from_str::<Value>(&text).unwrap()["targets"][0].clone();
    assert_eq!(target["pending"], 1);
    assert_eq!(target["endpoints"][0]["limit"], 7);
    assert_eq!(target["endpoints"][0]["connections"], 0);
    assert_eq!(target["endpoints"][0]["connection_limit"], 3);
    let (_, text) = get(&state, "/metrics").await;
    for line in [
        "podrobin_requests_pending{target=\"shop/cart:http\"} 1",
        "podrobin_queued_total{target=\"shop/cart:http\"} 2",
        "podrobin_overflows_total{target=\"shop/cart:http\",cause=\"timeout\"} 1",
        "podrobin_overflows_total{target=\"shop/cart:http\",cause=\"queue\"} 0",
    ] {
        assert!(text.contains(line), "{line} not in {text}");
    }
}

fn ejected() -> Health {
    Health::Ejected {
        until: at(130),
        cause: Cause::Failed(error::Kind::ConnectFailed),
    }
}

/// Three pods: one ready, one ejected, one not ready; 3 attempts, of which 1 went to a pod that has left.
fn busy_stage() -> Stage {
    let stage = Stage::new(vec![
        member(1, Standing::Ready, Health::Healthy),
        member(2, Standing::Ready, ejected()),
        member(3, Standing::NotReady, Health::Healthy),
    ]);
    let shard = stage.stats.shard(1);
    for _ in 0..4 {
        shard.add(Count::RequestStarted);
        shard.add(Count::Attempt);
    }
    shard.add(Count::RequestEnded);
    shard.finish(StatusCode::OK, Flag::None, Duration::from_millis(3));
    shard.finish(StatusCode::BAD_GATEWAY, Flag::Uf, Duration::from_secs(60));
    let snapshot = stage.snapshots.borrow().clone();
    let pod = snapshot.members[0].stats.shard(0);
    for _ in 0..3 {
        pod.start();
    }
    pod.end();
    pod.finish(StatusCode::OK, Flag::None);
    stage
        .metrics
        .eject(Cause::Failed(error::Kind::ConnectFailed));
    stage.metrics.updates.inc_by(2);
    stage.metrics.propagation.observe(0.02);
    stage.metrics.apply.observe(0.002);
    stage
}

async fn get(state: &Arc<AdminState>, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(()).unwrap();
    let response = respond(&request, state.clone(), at(NOW)).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The tables of families are what docs/metrics.md is held against, so the text must follow them.
pub(crate) fn assert_made_of(text: &str, families: impl Iterator<Item = Family<()>>) {
    let families: Vec<_> = families.collect();
    let mut seen = HashSet::new();
    let mut samples = HashSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(samples.insert(series), "twice: {series}");
        let (name, labels) = series
            .split_once('{')
            .map_or((series, ""), |(name, labels)| (name, labels));
        let family = families
            .iter()
            .find(|family| {
                let suffixes: &[&str] = match family.kind {
                    Kind::Histogram => &["_bucket", "_count", "_sum"],
                    _ => &[""],
                };
                suffixes
                    .iter()
                    .any(|suffix| name == family.sample_name() + suffix)
            })
            .unwrap_or_else(|| panic!("{name} is in no family"));
        let labels: HashSet<&str> = labels
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0))
            .filter(|label| *label != "le")
            .collect();
        assert_eq!(labels, family.labels.iter().copied().collect(), "{line}");
        seen.insert(family.name);
    }
    let silent: Vec<&str> = families
        .iter()
        .map(|family| family.name)
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(silent.is_empty(), "no sample of {silent:?}");
}
