//! How many failures eject, for how long, and how many pods at most.

use super::*;

/// One that fails each request, and one that is well.
async fn broken_and_good() -> [Pod; 2] {
    [
        Pod::scripted("broken", manners::reset_after_request).await,
        Pod::start("good").await,
    ]
}

/// Asks until the broken pod has had so many requests.
async fn ask_until_failed(sidecar: &Sidecar, broken: &Pod, times: usize) {
    let mut client = sidecar.client().await;
    eventually("so many failures", async || {
        let failed = broken.record().heads.len() >= times;
        if !failed {
            client.get("/").await;
        }
        failed.then_some(())
    })
    .await;
}

#[tokio::test]
async fn as_many_failures_in_a_row_eject_as_are_set() {
    let pods = broken_and_good().await;
    let sidecar = over(&pods).with("--eject-consecutive", "2").start().await;
    ask_until_failed(&sidecar, &pods[0], 2).await;
    // Without another request.
    sidecar.until_state(&pods[0], "ejected").await;

    let pods = broken_and_good().await;
    let sidecar = over(&pods).with("--eject-consecutive", "12").start().await;
    ask_until_failed(&sidecar, &pods[0], 11).await;
    assert_eq!(sidecar.state_of(&pods[0]).await["state"], "ready");
    ask_until_failed(&sidecar, &pods[0], 12).await;
    sidecar.until_state(&pods[0], "ejected").await;
}

#[tokio::test]
async fn with_0_nobody_is_ejected_for_failures_in_a_row() {
    let pods = broken_and_good().await;
    let sidecar = over(&pods).with("--eject-consecutive", "0").start().await;
    ask_until_failed(&sidecar, &pods[0], 30).await;
    assert_eq!(sidecar.state_of(&pods[0]).await["state"], "ready");
    let ejections = sidecar.metric("podrobin_ejections_total", &[]).await;
    assert_eq!(ejections, 0.0);
}

/// What the log says of a pod's first ejections: for how many seconds.
async fn times(first: &str, longest: &str, count: usize) -> Vec<f64> {
    let pods = broken_and_good().await;
    let sidecar = over(&pods)
        .with("--eject-time", first)
        .with("--eject-longest", longest)
        .start()
        .await;
    let mut client = sidecar.client().await;
    let ejected = |line: &Value| field(line, "cause") == "failures";
    eventually("so many ejections", async || {
        client.get("/").await;
        (sidecar.log.matching(ejected).len() >= count).then_some(())
    })
    .await;
    let lines = sidecar.log.matching(ejected);
    let seconds = |line: &Value| {
        line["seconds"]
            .as_f64()
            .or(line["fields"]["seconds"].as_f64())
    };
    lines
        .iter()
        .take(count)
        .map(|line| seconds(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_first_time_and_the_longest_are_as_set() {
    assert_eq!(times("90s", "2m", 1).await, [90.0]);
    assert_eq!(times("100ms", "300ms", 4).await, [0.1, 0.2, 0.3, 0.3]);
}

/// How many of four pods are left out, three of which fail each request, and how many requests the others have had.
async fn left_out(sidecar: &Sidecar, good: &Pod) -> (usize, u64) {
    let state = sidecar.state().await;
    let endpoints = state["endpoints"].as_array().unwrap();
    let (ready, out): (Vec<&Value>, Vec<&Value>) = endpoints
        .iter()
        .partition(|endpoint| endpoint["state"] == "ready");
    let good = good.address.to_string();
    let failing = ready
        .iter()
        .filter(|endpoint| endpoint["address"] != good.as_str());
    let requests = failing.map(|endpoint| endpoint["requests"].as_u64().unwrap());
    (out.len(), requests.min().unwrap_or(0))
}

#[tokio::test]
async fn so_many_pods_are_ejected_at_most_as_are_set() {
    for (most, pods_out) in [("49", 1), ("75", 3), ("100", 3)] {
        let mut pods = vec![Pod::start("good").await];
        for name in ["a", "b", "c"] {
            pods.push(Pod::scripted(name, manners::reset_after_request).await);
        }
        let sidecar = over(&pods).with("--eject-most", most).start().await;
        let mut client = sidecar.client().await;
        eventually(
            "as many left out as may be, and failures of the others",
            async || {
                client.get("/").await;
                let (out, failures) = left_out(&sidecar, &pods[0]).await;
                assert!(out <= pods_out, "{out} at {most} %");
                (out == pods_out && (pods_out == 3 || failures >= 20)).then_some(())
            },
        )
        .await;
    }
}
