//! What `/readyz` says, and how long it may be waited for.

use super::*;

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
