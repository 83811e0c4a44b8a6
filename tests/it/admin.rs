//! What the process tells about itself, and to whom.

use crate::support::client::get;
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
async fn tasks_are_counted_and_end_with_their_connections() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let tasks = async || sidecar.metric("podrobin_tasks", &[]).await;
    let before = tasks().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = sidecar.client().await;
        client.get("/").await;
        clients.push(client);
    }
    assert!(tasks().await >= before + 5.0);
    drop(clients);
    eventually("the tasks to end", async || {
        // That of an idle connection to the pod may stay.
        (tasks().await <= before + 1.0).then_some(())
    })
    .await;
}
