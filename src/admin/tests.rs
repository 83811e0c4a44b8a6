use std::collections::HashSet;
use std::time::{Instant, UNIX_EPOCH};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

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

/// Nothing here takes a second; a test that waits longer has failed.
const SOON: Duration = Duration::from_secs(20);

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
        stats: Arc::new(EndpointStats::new(2)),
    }
}

/// One whose latency is known: 20 ms.
fn with_latency(number: u8) -> Member {
    let now = Instant::now();
    let latency = PeakEwma::new(Duration::from_secs(10), now);
    latency.observe(Outcome::Answered, Duration::from_millis(20), now);
    Member {
        stats: Arc::new(EndpointStats::with_latency(2, latency)),
        ..member(number, Standing::Ready, Health::Healthy)
    }
}

/// One that is given seven requests at most, and three connections.
fn limited(number: u8) -> Member {
    let pending = Pending::new(1);
    let limit = PodLimit::new(7, pending.clone());
    let connections = PodConnections::new(3, 2, pending);
    let stats = EndpointStats::new(2).limited(limit);
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

#[tokio::test(start_paused = true)]
async fn readiness_can_be_waited_for() {
    let stage = busy_stage();
    let state = stage.state();
    let gate = stage.readiness.gate("list of shop/cart:http");
    let begun = tokio::time::Instant::now();
    let opens = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        gate.open();
    };
    let ((status, _), ()) = tokio::join!(get(&state, "/readyz?x=1&wait=2s"), opens);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(begun.elapsed(), Duration::from_millis(700));
    // Ready already.
    assert_eq!(get(&state, "/readyz?wait=2s").await.0, StatusCode::OK);
    assert_eq!(begun.elapsed(), Duration::from_millis(700));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_is_bounded() {
    let stage = busy_stage();
    let _gate = stage.readiness.gate("list of shop/cart:http");
    let state = stage.state();
    for (path, time) in [
        ("/readyz", Duration::ZERO),
        ("/readyz?wait=0", Duration::ZERO),
        ("/readyz?wait=2s", Duration::from_secs(2)),
        ("/readyz?wait=1m", LONGEST_WAIT),
    ] {
        let begun = tokio::time::Instant::now();
        let (status, text) = get(&state, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("list of shop/cart:http"), "{text}");
        let waited = begun.elapsed();
        assert!(
            waited >= time && waited < time + Duration::from_millis(10),
            "{path}: {waited:?}"
        );
    }
    let (status, text) = get(&state, "/readyz?wait=soon").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("/readyz?wait=2s"), "{text}");
}

#[tokio::test]
async fn readiness_names_the_gates_that_are_closed() {
    let stage = busy_stage();
    let list = stage.readiness.gate("list of shop/cart:http");
    let draining = stage.readiness.gate("draining");
    let state = stage.state();
    let (status, text) = get(&state, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "not ready, waiting for: list of shop/cart:http, draining"
    );
    list.open();
    drop(draining);
    let (status, text) = get(&state, "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        text,
        "ok\nshop/cart:http: stale for 10s, 1 of 3 endpoints in use, list confirmed 20s ago; \
         last error: 403: grant list on endpointslices\n"
    );
}

#[tokio::test]
async fn a_target_that_knows_nothing_yet_says_so() {
    let stage = Stage::new(Vec::new());
    stage.snapshots.send_replace(snapshot(0, Vec::new()));
    stage.status.send_replace(Status {
        phase: Phase::Starting,
        since: at(99),
        fresh: None,
        error: None,
    });
    let (_, text) = get(&stage.state(), "/readyz").await;
    assert_eq!(text, "ok\nshop/cart:http: starting for 1s, no list yet\n");
}

#[tokio::test]
async fn state_shows_each_endpoint_with_its_share_and_reason() {
    let stage = busy_stage();
    let gate = stage.readiness.gate("workers");
    let (status, text) = get(&stage.state(), "/state").await;
    assert_eq!(status, StatusCode::OK);
    let mut state: Value = serde_json::from_str(&text).unwrap();
    let target = state["targets"][0].take();
    assert_eq!(
        state,
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started": "1970-01-01T00:00:10.000Z",
            "now": "1970-01-01T00:01:40.000Z",
            "ready": false,
            "pod": {"name": "web-1", "namespace": null, "node": null, "zone": null, "ip": null},
            "pending": ["workers"],
            "targets": [null],
        })
    );
    assert_eq!(
        target,
        json!({
            "name": "shop/cart:http",
            "listen": "127.0.0.1:8000",
            "policy": "round-robin",
            "version": 2,
            "published": "1970-01-01T00:01:35.000Z",
            "panic": false,
            "watch": {
                "phase": "stale",
                "since": "1970-01-01T00:01:30.000Z",
                "fresh": "1970-01-01T00:01:20.000Z",
                "error": "403: grant list on endpointslices",
            },
            "requests_in_flight": 3,
            "held": 0,
            "pending": 0,
            "tunnels": 0,
            "endpoints": [
                {
                    "pod": "cart-1", "address": "10.0.0.1:8080", "node": "node-a", "zone": "zone-a",
                    "state": "ready", "cause": null, "reason": null, "until": null,
                    "weight": 1, "in_flight": 2, "tunnels": 0, "requests": 3, "share": 0.75,
                },
                {
                    "pod": "cart-2", "address": "10.0.0.2:8080", "node": "node-a", "zone": "zone-a",
                    "state": "ejected", "cause": "failures",
                    "reason": "failures in a row, the last: connect refused or unreachable",
                    "until": "1970-01-01T00:02:10.000Z",
                    "weight": 1, "in_flight": 0, "tunnels": 0, "requests": 0, "share": 0.0,
                },
                {
                    "pod": "cart-3", "address": "10.0.0.3:8080", "node": "node-a", "zone": "zone-a",
                    "state": "not_ready", "cause": null, "reason": null, "until": null,
                    "weight": 1, "in_flight": 0, "tunnels": 0, "requests": 0, "share": 0.0,
                },
            ],
        })
    );
    drop(gate);
}

#[tokio::test]
async fn metrics_tell_requests_pods_and_the_watch() {
    let (_, text) = get(&busy_stage().state(), "/metrics").await;
    let pod = r#"target="shop/cart:http",pod="cart-1",address="10.0.0.1:8080""#;
    let target = r#"target="shop/cart:http""#;
    for line in [
        format!(r#"podrobin_requests_total{{{target},class="2xx",flag="-"}} 1"#),
        format!(r#"podrobin_requests_total{{{target},class="5xx",flag="UF"}} 1"#),
        format!("podrobin_request_duration_seconds_count{{{target}}} 2"),
        format!("podrobin_request_duration_seconds_sum{{{target}}} 60.003"),
        format!(r#"podrobin_request_duration_seconds_bucket{{le="0.005",{target}}} 1"#),
        format!(r#"podrobin_request_duration_seconds_bucket{{le="10.0",{target}}} 1"#),
        format!(r#"podrobin_request_duration_seconds_bucket{{le="+Inf",{target}}} 2"#),
        format!("podrobin_attempts_total{{{target}}} 4"),
        format!("podrobin_requests_in_flight{{{target}}} 3"),
        format!(r#"podrobin_pod_requests_total{{{pod},class="2xx",flag="-"}} 1"#),
        format!("podrobin_pod_attempts_total{{{pod}}} 3"),
        format!("podrobin_pod_in_flight{{{pod}}} 2"),
        format!(r#"podrobin_endpoints{{{target},state="ready"}} 1"#),
        format!(r#"podrobin_endpoints{{{target},state="ejected"}} 1"#),
        format!(r#"podrobin_endpoints{{{target},state="terminating"}} 0"#),
        format!(r#"podrobin_ejections_total{{{target},cause="failures",flag="UF"}} 1"#),
        format!(r#"podrobin_watch_phase{{{target},phase="stale"}} 1"#),
        format!(r#"podrobin_watch_phase{{{target},phase="live"}} 0"#),
        format!("podrobin_list_confirmed_seconds{{{target}}} 20.0"),
        format!("podrobin_snapshot_age_seconds{{{target}}} 5.0"),
        format!("podrobin_list_updates_total{{{target}}} 2"),
        format!("podrobin_propagation_seconds_count{{{target}}} 1"),
        format!("podrobin_apply_seconds_sum{{{target}}} 0.002"),
        "podrobin_ready 1".to_owned(),
        "process_start_time_seconds 10.0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn state_shows_what_a_request_costs_where_the_policy_goes_by_it() {
    let stage = Stage::new(vec![
        with_latency(1),
        member(2, Standing::Ready, Health::Healthy),
    ]);
    let (_, text) = get(&stage.state(), "/state").await;
    let state: Value = serde_json::from_str(&text).unwrap();
    let endpoints = &state["targets"][0]["endpoints"];
    let cost = endpoints[0]["cost_ms"].as_f64().unwrap();
    // It decays while this is read.
    assert!((1.0..=20.0).contains(&cost), "{cost}");
    assert_eq!(endpoints[1].get("cost_ms"), None);
}

#[tokio::test]
async fn every_sample_belongs_to_its_family_and_has_its_labels() {
    let stage = busy_stage();
    let mut members = stage.snapshots.borrow().members.clone();
    members.push(with_latency(4));
    members.push(limited(5));
    members[0].ramp = Some(Ramp {
        since: Instant::now(),
        slow: SlowStart::default(),
    });
    members[0].reported = Some(Some(150));
    members[1].reported = Some(None);
    stage.snapshots.send_replace(snapshot(3, members));
    let after = Duration::from_micros(20_500);
    stage.stats.shard(0).set_hedge_after(Some(after));
    stage.stats.shard(1).set_hedge_after(Some(after / 2));
    let (_, text) = get(&stage.state(), "/state").await;
    assert!(text.contains("\"hedge_after_ms\":20.5,"), "{text}");
    let (_, text) = get(&stage.state(), "/metrics").await;
    let families = FAMILIES.iter().map(Family::head);
    assert_made_of(&text, families.chain(COMMON.iter().map(Family::head)));
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

#[tokio::test]
async fn totals_stay_when_a_pod_leaves() {
    let stage = busy_stage();
    let state = stage.state();
    stage.snapshots.send_replace(snapshot(3, Vec::new()));
    let (_, text) = get(&state, "/metrics").await;
    assert!(
        text.contains(r#"podrobin_requests_total{target="shop/cart:http",class="2xx",flag="-"} 1"#)
    );
    assert!(text.contains(r#"podrobin_attempts_total{target="shop/cart:http"} 4"#));
    assert!(!text.contains("cart-1"));
}

#[tokio::test]
async fn hostile_names_are_escaped() {
    let mut odd = member(1, Standing::Ready, Health::Healthy);
    let mut endpoint = (*odd.endpoint).clone();
    endpoint.pod = Some("a\"b\\c\nd".to_owned());
    odd.endpoint = Arc::new(endpoint);
    let state = Stage::new(vec![odd]).state();
    let (_, text) = get(&state, "/metrics").await;
    assert!(text.contains(r#"pod="a\"b\\c\nd""#), "{text}");
    let (_, text) = get(&state, "/state").await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["targets"][0]["endpoints"][0]["pod"], "a\"b\\c\nd");
}

/// A running server; it ends when dropped.
struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _stage: Stage,
}

async fn start(address: &str) -> Running {
    start_within(BOUNDS, address).await
}

async fn start_within(bounds: Bounds, address: &str) -> Running {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stage = busy_stage();
    let state = stage.bare_state();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        serve_within(bounds, listener, state, async {
            let _ = stopped.await;
        })
        .await;
    });
    Running {
        address,
        _stop: stop,
        _stage: stage,
    }
}

/// Sends bytes and reads to the end of the connection.
async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    tokio::time::timeout(SOON, talk).await.expect("an answer")
}

#[tokio::test]
async fn one_request_is_answered_and_the_connection_closed() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nok\n"), "{text}");
}

#[tokio::test]
async fn an_old_client_is_answered_too() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.contains("content-length: 3\r\n"), "{text}");
}

#[tokio::test]
async fn metrics_have_the_type_that_scrapers_ask_for() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let expected = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let running = start("127.0.0.1:0").await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let text = exchange(running.address, &request).await;
        assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
        assert!(text.contains("allow: GET, HEAD\r\n"), "{text}");
    }
    let text = exchange(running.address, "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    assert!(text.contains("/livez /readyz /metrics /state"), "{text}");
    let text = exchange(running.address, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let running = start("127.0.0.1:0").await;
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2 * HEADER_BYTES));
    let text = exchange(running.address, &endless).await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn silent_clients_lose_their_places_in_time() {
    let bounds = Bounds {
        connections: 2,
        header_time: Duration::from_millis(100),
        ..BOUNDS
    };
    let running = start_within(bounds, "127.0.0.1:0").await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn a_client_that_dawdles_is_dropped() {
    let bounds = Bounds {
        connections: 1,
        connection_time: Duration::from_millis(100),
        ..BOUNDS
    };
    let running = start_within(bounds, "127.0.0.1:0").await;
    // Half a head, slowly: its own time is longer than the connection's.
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn the_server_ends_when_told() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stage = busy_stage();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, stage.bare_state(), async {
        let _ = stopped.await;
    });
    let client = async {
        let text = exchange(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(text.ends_with("ok\n"), "{text}");
        drop(stop);
    };
    let both = async { tokio::join!(server, client) };
    tokio::time::timeout(SOON, both).await.expect("an end");
    assert!(TcpStream::connect(address).await.is_err());
}
