//! Clients that give up: when that counts against the pod.

use std::time::Duration;

use crate::support::client::{Client, post};
use crate::support::within::eventually;
use crate::support::{Pod, Sidecar, manners};

/// Longer than the second of silence after which a client that gives up counts against the pod.
const PATIENCE: Duration = Duration::from_millis(1_300);

/// Sends so many requests at once, of a kind that no other pod is asked meanwhile, and gives up on those that are not answered; how many were not.
async fn give_up_on(sidecar: &Sidecar, requests: usize) -> usize {
    let mut clients = Vec::new();
    for _ in 0..requests {
        let mut client = sidecar.client().await;
        client.send(post("/", b"x")).await;
        clients.push(client);
    }
    let given_up = tokio::time::Instant::now() + PATIENCE;
    let mut unanswered = 0;
    for client in &mut clients {
        let answer = tokio::time::timeout_at(given_up, client.response()).await;
        unanswered += usize::from(answer.is_err());
    }
    unanswered
}

#[tokio::test]
async fn a_pod_whose_clients_all_give_up_while_others_answer_is_left_out() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let good = Pod::start("good").await;
    // No response timeout: the clients' own patience is all there is.
    let sidecar = Sidecar::over([&silent, &good]).start().await;
    // The good pod's answers count from when the silent requests began: one round decides.
    assert_eq!(give_up_on(&sidecar, 24).await, 12);
    sidecar.until_state(&silent, "ejected").await;
    assert_eq!(give_up_on(&sidecar, 1).await, 0);
}

#[tokio::test]
async fn where_all_clients_give_up_no_pod_is_to_blame() {
    let polled = [
        Pod::scripted("a", manners::never_answer).await,
        Pod::scripted("b", manners::never_answer).await,
    ];
    let sidecar = Sidecar::over(&polled).start().await;
    assert_eq!(give_up_on(&sidecar, 16).await, 16);
    for pod in &polled {
        pod.until("the end of its connections", |record| record.open == 0)
            .await;
    }
    // A further round proves that what the first one left behind has been weighed.
    assert_eq!(give_up_on(&sidecar, 2).await, 2);
    for pod in &polled {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
        assert_eq!(pod.record().heads.len(), 9);
    }
}

/// Begins an upload and asks for an answer, so often: in turn, so that one pod gets the uploads, the other the rest.
async fn alternate(sidecar: &Sidecar, pods: [&Pod; 2], rounds: usize) -> Vec<Client> {
    let heads = || {
        pods.iter()
            .map(|pod| pod.record().heads.len())
            .sum::<usize>()
    };
    let mut uploads = Vec::new();
    for _ in 0..rounds {
        let begun = heads();
        let mut upload = sidecar.client().await;
        upload
            .send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nha")
            .await;
        eventually("the upload's head", async || {
            (heads() > begun).then_some(())
        })
        .await;
        uploads.push(upload);
        sidecar.get("/").await;
    }
    uploads
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_of_a_slow_upload_blame_nobody() {
    let (a, b) = (Pod::start("a").await, Pod::start("b").await);
    let sidecar = Sidecar::over([&a, &b]).start().await;
    let mut old = alternate(&sidecar, [&a, &b], 6).await;
    tokio::time::sleep(PATIENCE).await;
    drop(old.pop());
    // The other pod's answers since the first client left would now be proof enough.
    let young = alternate(&sidecar, [&a, &b], 6).await;
    drop(old);
    let uploaded = if a.count("GET") == 0 { &a } else { &b };
    uploaded
        .until("the end of the old uploads", |record| {
            record.open == young.len()
        })
        .await;
    assert_eq!(uploaded.count("GET"), 0);
    for pod in [&a, &b] {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
    }
}
