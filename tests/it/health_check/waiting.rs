//! New pods that get nothing before their first check.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::support::client::get;
use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, Slices, soon};

/// A pod whose checks are answered by so many permits as there are, and requests always.
pub(super) async fn gated(name: &str) -> (Pod, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let pod = Pod::scripted(name, move |mut session: Session| {
        let gate = gate.clone();
        async move {
            while let Some(request) = session.request().await? {
                if request.head.target() == "/healthz" {
                    gate.acquire().await.unwrap().forget();
                }
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    (pod, go)
}

#[tokio::test]
async fn a_new_pod_gets_nothing_before_it_has_passed() {
    let old = Pod::start("old").await;
    let (new, go) = gated("new").await;
    let slices = Slices::of([&old]);
    let sidecar = Sidecar::watching(&slices)
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "30s")
        .with("--health-check-timeout", "30s")
        .with("--new-pods", "wait")
        .start()
        .await;
    sidecar.until_state(&old, "ready").await;
    slices.set([&old, &new]);
    let state = sidecar.until_state(&new, "unchecked").await;
    assert!(
        state["reason"]
            .as_str()
            .unwrap()
            .contains("first health check")
    );
    new.until("its check", |record| !record.heads.is_empty())
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.pod(), "old");
    }
    go.add_permits(1);
    sidecar.until_state(&new, "ready").await;
    let mut names = [client.get("/").await, client.get("/").await].map(|it| it.pod().to_owned());
    names.sort();
    assert_eq!(names, ["new", "old"]);
}

#[tokio::test]
async fn requests_are_held_while_all_pods_wait_for_their_first_check() {
    let (pod, go) = gated("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--health-check", "http:/healthz")
        .with("--health-check-interval", "30s")
        .with("--health-check-timeout", "30s")
        .with("--new-pods", "wait")
        .with("--hold", "30s")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    sidecar.until_held(1).await;
    let held = |line: &Value| field(line, "message").starts_with("requests are held until");
    assert_eq!(sidecar.log.matching(held).len(), 1);
    go.add_permits(1);
    let answer = soon("the held request's answer", client.response()).await;
    assert_eq!(answer.status(), 200);
}
