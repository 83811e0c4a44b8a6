//! What `/metrics` shows.

use super::*;

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
