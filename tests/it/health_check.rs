//! Pods that are asked whether they are well.

mod grpc;
mod panic;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::Response;

use crate::support::certificates::{Authority, Mount};
use crate::support::http2::{self, Exchange};
use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::tls::Tls;
use crate::support::{Pod, Sidecar, eventually, manners};

/// Checks often.
fn checking<'a>(pods: impl IntoIterator<Item = &'a Pod>, check: &str) -> Plan {
    often(Sidecar::over(pods), check)
}

fn often(plan: Plan, check: &str) -> Plan {
    plan.with("--health-check", check)
        .with("--health-check-interval", "50ms")
        // A busy machine's pods are slow, too.
        .with("--health-check-timeout", "10s")
}

/// A pod that answers requests, and `/healthz` by what is set.
async fn telling(name: &str, well: &Arc<AtomicBool>) -> Pod {
    let well = well.clone();
    Pod::scripted(name, move |mut session: Session| {
        let well = well.clone();
        async move {
            while let Some(request) = session.request().await? {
                if request.head.target() == "/healthz" && !well.load(Relaxed) {
                    let sick = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nsick";
                    session.wire.send(sick.as_bytes()).await?;
                } else {
                    session.answer().await?;
                }
            }
            Ok(())
        }
    })
    .await
}

/// Waits until only this one answers.
async fn until_alone(sidecar: &Sidecar, pod: &Pod) {
    eventually(&format!("requests for {} alone", pod.name), async || {
        let mut client = sidecar.client().await;
        for _ in 0..6 {
            let answer = client.get("/").await;
            if answer.status() != 200 || answer.pod() != pod.name {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_whose_healthz_fails_leaves_the_rotation_and_returns() {
    let well = Arc::new(AtomicBool::new(true));
    let sick = telling("sick", &well).await;
    let good = Pod::start("good").await;
    let sidecar = checking([&sick, &good], "http:/healthz")
        .with("--health-check-unhealthy-after", "4")
        .start()
        .await;
    sick.until("a check", |record| !record.heads.is_empty())
        .await;
    assert_eq!(sidecar.state_of(&sick).await["state"], "ready");

    well.store(false, Relaxed);
    let state = sidecar.until_state(&sick, "unhealthy").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("503"), "{reason}");
    until_alone(&sidecar, &good).await;
    let said = sidecar.log.matching(|line| {
        field(line, "message").contains("unhealthy") && line.to_string().contains("503")
    });
    assert_eq!(said.len(), 1);
    let failed = sidecar
        .metric("podrobin_health_checks_total", &["result=\"failed\""])
        .await;
    assert!(failed >= 4.0, "{failed}");

    well.store(true, Relaxed);
    sidecar.until_state(&sick, "ready").await;
    eventually("a request for it", async || {
        (sidecar.get("/").await.pod() == "sick").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_check_says_who_asks_and_carries_nothing_of_clients() {
    let pod = Pod::start("a").await;
    let sidecar = checking([&pod], "http:/healthz?full=1")
        .with("--health-check-host", "cart.test:81")
        .start()
        .await;
    let mut client = sidecar.client().await;
    let head =
        "GET /app HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer secret\r\nCookie: a=b\r\n\r\n";
    client.send(head).await;
    client.response().await;
    pod.until("checks after a request", |record| {
        let app = record.heads.iter().position(|head| head.target() == "/app");
        app.is_some_and(|app| record.heads.len() > app + 2)
    })
    .await;
    let record = pod.record();
    let checks = record.heads.iter().filter(|head| head.target() != "/app");
    for check in checks {
        assert_eq!(check.method(), "GET");
        assert_eq!(check.target(), "/healthz?full=1");
        let names = check.names();
        assert_eq!(names, ["host", "user-agent", "accept", "connection"]);
        assert_eq!(check.field("host"), Some("cart.test:81"));
        let agent = check.field("user-agent").unwrap();
        assert!(agent.starts_with("podrobin/") && agent.contains("health-check"));
    }
}

#[tokio::test]
async fn pods_are_checked_once_for_all_workers() {
    let pod = Pod::start("a").await;
    // Over two workers. The first check is made at once, and the next one is far away.
    let sidecar = Sidecar::over([&pod])
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "1h")
        .with("--new-pods", "wait")
        .start()
        .await;
    sidecar.until_state(&pod, "ready").await;
    for _ in 0..20 {
        assert_eq!(sidecar.get("/").await.status(), 200);
    }
    let record = pod.record();
    let checks = record
        .heads
        .iter()
        .filter(|head| head.target() == "/healthz");
    assert_eq!(checks.count(), 1);
    drop(record);
    let passed = sidecar.metric("podrobin_health_checks_total", &["result=\"passed\""]);
    assert_eq!(passed.await, 1.0);
}

#[tokio::test]
async fn a_pod_that_hangs_on_its_check_is_unhealthy() {
    let hanging = Pod::scripted("hanging", manners::never_answer).await;
    let good = Pod::start("good").await;
    let sidecar = Sidecar::over([&hanging, &good])
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "50ms")
        .with("--health-check-timeout", "1s")
        .with("--health-check-unhealthy-after", "2")
        // A worker hears of it a moment after /state, and this pod would never let go of a request.
        .with("--response-timeout", "1s")
        .start()
        .await;
    let state = sidecar.until_state(&hanging, "unhealthy").await;
    assert_eq!(state["reason"], "no answer within 1s");
    until_alone(&sidecar, &good).await;
}

#[tokio::test]
async fn a_port_that_refuses_is_unhealthy_by_tcp_and_returns_when_it_opens() {
    let mut closed = Pod::refusing("late");
    let good = Pod::start("good").await;
    let sidecar = checking([&closed, &good], "tcp").start().await;
    let state = sidecar.until_state(&closed, "unhealthy").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");
    closed.open(manners::answer_all);
    sidecar.until_state(&closed, "ready").await;
    // Nothing is said over such a connection.
    assert!(closed.record().heads.is_empty());
}

#[tokio::test]
async fn another_port_may_be_the_one_that_is_checked() {
    let pod = Pod::start("a").await;
    let health = Pod::start("health").await;
    let port = health.address.port().to_string();
    let sidecar = checking([&pod], "http:/healthz")
        .with("--health-check-at", &port)
        .start()
        .await;
    health
        .until("checks", |record| record.heads.len() > 1)
        .await;
    assert!(pod.record().heads.is_empty());
    assert_eq!(sidecar.state_of(&pod).await["state"], "ready");
}

#[tokio::test]
async fn where_all_pods_fail_all_are_used_and_it_is_said() {
    let well = [false, false].map(|well| Arc::new(AtomicBool::new(well)));
    let pods = [telling("a", &well[0]).await, telling("b", &well[1]).await];
    let sidecar = checking(&pods, "http:/healthz").start().await;
    for pod in &pods {
        let state = sidecar.until_state(pod, "panic").await;
        assert!(state["reason"].as_str().unwrap().contains("503"));
    }
    let panics = |line: &serde_json::Value| field(line, "message").starts_with("panic:");
    sidecar.log.until("the panic", 1, panics).await;
    let mut client = sidecar.client().await;
    let mut names = [client.get("/").await, client.get("/").await].map(|it| it.pod().to_owned());
    names.sort();
    assert_eq!(names, ["a", "b"]);
    let shown = sidecar
        .metric("podrobin_endpoints", &["state=\"panic\""])
        .await;
    assert_eq!(shown, 2.0);

    well[1].store(true, Relaxed);
    sidecar.until_state(&pods[0], "unhealthy").await;
    until_alone(&sidecar, &pods[1]).await;
    let over = |line: &serde_json::Value| field(line, "message").starts_with("no panic");
    sidecar.log.until("its end", 1, over).await;
}

#[tokio::test]
async fn checks_go_over_http2_in_clear_text_where_requests_do() {
    let well = Arc::new(AtomicBool::new(true));
    let script = |well: Arc<AtomicBool>| {
        http2::script(move |mut exchange: Exchange| {
            let well = well.load(Relaxed);
            async move {
                if well || exchange.head.uri.path() != "/healthz" {
                    return exchange.answer().await;
                }
                exchange.read().await?;
                let sick = Response::builder().status(503).body(()).unwrap();
                exchange.respond.send_response(sick, true).map(drop)
            }
        })
    };
    let sick = Pod::scripted("sick", script(well.clone())).await;
    let good = Pod::scripted("good", script(Arc::new(AtomicBool::new(true)))).await;
    let sidecar = checking([&sick, &good], "http:/healthz")
        .with("--health-check-host", "cart.test")
        .http2_to_pods()
        .start()
        .await;
    sick.until("a check", |record| !record.calls.is_empty())
        .await;
    let check = sick.record().calls[0].clone();
    assert_eq!(check.uri, "http://cart.test/healthz");
    let agent = check.headers["user-agent"].to_str().unwrap();
    assert!(agent.contains("health-check"), "{agent}");

    well.store(false, Relaxed);
    let state = sidecar.until_state(&sick, "unhealthy").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("503"), "{reason}");
    until_alone(&sidecar, &good).await;
    well.store(true, Relaxed);
    sidecar.until_state(&sick, "ready").await;
}

/// A pod that has no HTTP/2 is told from one that does not answer.
#[tokio::test]
async fn a_pod_that_does_not_speak_http2_where_requests_do_is_unhealthy() {
    let old = Pod::start("old").await;
    let new = Pod::scripted("new", http2::answer_all).await;
    let sidecar = checking([&old, &new], "http:/healthz")
        .http2_to_pods()
        .start()
        .await;
    sidecar.until_state(&old, "unhealthy").await;
    until_alone(&sidecar, &new).await;
}

#[tokio::test]
async fn checks_go_over_tls_where_requests_do() {
    let authority = Authority::new("ca");
    let mount = Mount::of(&[("ca.crt", authority.pem())]);
    let other = Authority::new("other");
    let tls = Tls::new(&authority.issue("cart.shop.svc"));
    let trusted = Pod::scripted("trusted", tls.serve()).await;
    let foreign = Tls::new(&other.issue("cart.shop.svc"));
    let foreign = Pod::scripted("foreign", foreign.serve()).await;
    let sidecar = Sidecar::over([&trusted, &foreign])
        .with("--upstream-ca", &mount.path("ca.crt").display().to_string())
        .with("--upstream-tls", "on")
        .with("--upstream-server-name", "cart.shop.svc")
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "2s")
        .with("--health-check-timeout", "2s")
        .with("--health-check-unhealthy-after", "1")
        .start()
        .await;
    let state = sidecar.until_state(&foreign, "unhealthy").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("--upstream-ca"), "{reason}");
    eventually("a check over HTTP/2", async || {
        let seen = tls.seen();
        let mut requests = seen.requests.iter();
        requests
            .any(|it| it.uri().path() == "/healthz" && it.version() == http::Version::HTTP_2)
            .then_some(())
    })
    .await;
    assert_eq!(sidecar.state_of(&trusted).await["state"], "ready");
}
