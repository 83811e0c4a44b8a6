//! What the process tells about itself, and to whom.

use crate::support::client::{get, post};
use crate::support::{Client, Pod, Sidecar, eventually, manners};

#[tokio::test]
async fn admin_pages_answer_on_their_own_port_only() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    for page in ["/livez", "/readyz", "/metrics", "/state"] {
        assert_eq!(sidecar.admin(page).await.status(), 200, "{page}");
        // On the proxy's port it is a request like any other.
        assert_eq!(sidecar.get(page).await.pod(), "a", "{page}");
    }
    assert_eq!(sidecar.admin("/else").await.status(), 404);
    assert_eq!(pod.record().heads.len(), 4);
}

#[tokio::test]
async fn admin_is_read_only() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let mut client = Client::connect(sidecar.admin).await;
        let answer = client
            .ask(format!("{method} /state HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        assert_eq!(answer.status(), 405, "{method}");
    }
}

#[tokio::test]
async fn the_state_tells_who_got_what() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..10 {
        client.get("/").await;
    }
    for pod in &pods {
        let state = sidecar.state_of(pod).await;
        assert_eq!(state["state"], "ready", "{state}");
        assert_eq!(state["requests"], 5, "{state}");
        assert_eq!(state["in_flight"], 0, "{state}");
        assert_eq!(state["share"].as_f64(), Some(0.5), "{state}");
    }
    let answered = sidecar
        .metric("podrobin_requests_total", &["flag=\"-\""])
        .await;
    assert_eq!(answered, 10.0);
}

#[tokio::test]
async fn requests_in_flight_are_counted_and_forgotten() {
    let pod = Pod::scripted("a", manners::never_answer).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    pod.until("the requests", |record| record.heads.len() == 3)
        .await;
    assert_eq!(sidecar.state_of(&pod).await["in_flight"], 3);
    drop(clients);
    eventually("the requests to be forgotten", async || {
        (sidecar.state_of(&pod).await["in_flight"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request_and_no_query() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--access-log", "json")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .ask(post("/cart/7?token=secret-in-query", b"hello"))
        .await;
    client
        .ask("GET /private HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer secret-in-header\r\nCookie: secret-in-cookie\r\n\r\n")
        .await;
    client.ask("GET /refused HTTP/1.1\r\n\r\n").await;
    let lines = sidecar
        .log
        .until("three requests", 3, |line| line["method"].is_string())
        .await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["method"], "POST");
    assert_eq!(lines[0]["path"], "/cart/7");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["flag"], "-");
    assert_eq!(lines[0]["attempts"], 1);
    assert_eq!(lines[2]["status"], 400);
    assert_eq!(lines[2]["flag"], "DPE");
    let all = sidecar.log.lines().join("\n");
    assert!(!all.contains("secret"), "{all}");
}

#[tokio::test]
async fn nothing_is_logged_per_request_unless_asked_for() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let before = sidecar.log.lines().len();
    let mut client = sidecar.client().await;
    for _ in 0..20 {
        client.get("/").await;
    }
    let lines = sidecar.log.lines();
    assert!(lines.len() < before + 5, "{lines:?}");
}

#[tokio::test]
async fn a_client_that_left_is_told_from_one_that_was_answered() {
    let pod = Pod::scripted("a", manners::never_answer).await;
    let sidecar = Sidecar::over([&pod])
        .with("--access-log", "json")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(get("/left")).await;
    pod.until("the request", |record| record.heads.len() == 1)
        .await;
    drop(client);
    let lines = sidecar
        .log
        .until("the request", 1, |line| line["path"] == "/left")
        .await;
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(lines[0]["flag"], "DC");
}
