//! What `/state` shows.

use serde_json::json;

use super::*;

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
