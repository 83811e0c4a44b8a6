//! Which HTTP is spoken over TLS.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{NAME, ask_http2, ca, over, trusting};
use crate::support::certificates::Authority;
use crate::support::client::{get, post};
use crate::support::http2;
use crate::support::pod::Session;
use crate::support::slices::Entry;
use crate::support::tls::{BOTH, Setup, Tls};
use crate::support::{Pod, Sidecar, Slices};

#[tokio::test]
async fn what_the_pod_chooses_is_spoken_whatever_the_client_speaks() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for (alpn, version) in [
        (BOTH, "2"),
        (&["h2"], "2"),
        (&["http/1.1"], "1"),
        // It does not know the question.
        (&[], "1"),
    ] {
        let setup = Setup {
            alpn,
            ..Setup::default()
        };
        let tls = Tls::with(&authority.issue(NAME), &setup);
        let pod = Pod::scripted("a", tls.serve()).await;
        let sidecar = over([&pod], &mount).start().await;

        let answer = sidecar.client().await.ask(post("/h1", b"body")).await;
        assert_eq!(answer.status(), 200, "{alpn:?}: {}", answer.text());
        assert_eq!(answer.field("x-version"), Some(version), "{alpn:?}");
        assert_eq!(answer.text(), "body");

        let (headers, body) = ask_http2(sidecar.proxy, Method::POST, "more").await;
        assert_eq!(headers["x-version"], version, "{alpn:?}");
        assert_eq!(
            (&headers["x-pod"], body.as_str()),
            (&"a".parse().unwrap(), "more")
        );

        let seen = tls.seen();
        assert_eq!(seen.requests.len(), 2);
        for request in &seen.requests {
            let scheme = request.uri().scheme_str();
            assert_eq!(scheme, (version == "2").then_some("https"), "{alpn:?}");
        }
    }
}

#[tokio::test]
async fn app_protocol_decides_and_the_flags_win() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for (protocol, flag, value, version) in [
        ("https", "--upstream-protocol", "auto", "2"),
        ("tls", "--upstream-protocol", "http1", "1"),
        ("grpcs", "--upstream-protocol", "auto", "2"),
        ("kubernetes.io/wss", "--upstream-protocol", "auto", "1"),
        ("http", "--upstream-tls", "on", "2"),
    ] {
        let tls = Tls::new(&authority.issue(NAME));
        let pod = Pod::scripted("a", tls.serve()).await;
        let slices = Slices::of([Entry::from(&pod).speaking(protocol)]);
        let sidecar = trusting(Sidecar::watching(&slices), &mount)
            .with("--upstream-server-name", NAME)
            .with(flag, value)
            .start()
            .await;
        let answer = sidecar.get("/").await;
        let told = answer.field("x-version");
        assert_eq!(told, Some(version), "{protocol}: {}", answer.text());
    }
}

/// Its connection in clear text is still being made as the list says that it wants TLS.
#[tokio::test]
async fn what_is_meant_for_tls_does_not_go_over_a_connection_that_was_begun_without() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let pod = Pod::scripted("a", move |session: Session| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            http2::answer_all(session).await
        }
    })
    .await;
    let starting = Pod::start("b").await;
    let not_ready = json!({"ready": false, "serving": false, "terminating": false});
    let slices = Slices::of([Entry::from(&pod).speaking("kubernetes.io/h2c")]);
    let sidecar = trusting(Sidecar::watching(&slices), &mount)
        .with("--upstream-server-name", NAME)
        .with("--retries", "0")
        .on_one_worker()
        .start()
        .await;

    let mut waiting = sidecar.client().await;
    let waiting = tokio::spawn(async move { waiting.get("/").await });
    pod.until("a connection", |record| record.open == 1).await;
    slices.set([
        Entry::from(&pod).speaking("https"),
        Entry::from(&starting).with("conditions", not_ready),
    ]);
    sidecar.until_listed(2).await;
    go.add_permits(Semaphore::MAX_PERMITS);

    assert_eq!(waiting.await.unwrap().pod(), "a");
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (502, Some("UF")));
}

#[tokio::test]
async fn a_pod_that_does_not_speak_what_it_must_is_an_error() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for (alpn, said, flag) in [
        (
            &["http/1.1"][..],
            "speaks no HTTP version that was offered",
            "UF",
        ),
        (&[], "does not speak HTTP/2", "UPE"),
    ] {
        let setup = Setup {
            alpn,
            ..Setup::default()
        };
        let tls = Tls::with(&authority.issue(NAME), &setup);
        let pod = Pod::scripted("a", tls.serve()).await;
        let sidecar = over([&pod], &mount)
            .with("--upstream-protocol", "http2")
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (502, Some(flag)));
        assert!(answer.text().contains(said), "{}", answer.text());
        assert_eq!(tls.seen().requests.len(), 0);
    }
}

#[tokio::test]
async fn off_is_clear_text_whatever_the_pod_asks_for() {
    let pod = Pod::start("a").await;
    let slices = Slices::of([Entry::from(&pod).speaking("https")]);
    let sidecar = Sidecar::watching(&slices)
        .with("--upstream-tls", "off")
        .start()
        .await;
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn many_requests_at_once_wait_for_the_first_connection_and_share_it() {
    let authority = Authority::new("ca");
    let tls = Tls::new(&authority.issue(NAME));
    let pod = Pod::scripted("a", tls.serve()).await;
    let sidecar = over([&pod], &ca(&[&authority]))
        .on_one_worker()
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(sidecar.client().await);
    }
    for client in &mut clients {
        client.send(get("/")).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status(), 200);
    }
    assert_eq!(pod.record().connections, 1);
}

#[tokio::test]
async fn a_pod_that_comes_back_with_another_protocol_is_asked_again() {
    let authority = Authority::new("ca");
    let leaf = authority.issue(NAME);
    let only = |alpn| Setup {
        alpn,
        ..Setup::default()
    };
    let (one, two) = (only(&["http/1.1"]), only(&["h2"]));
    let tls = Tls::with(&leaf, &one);
    let mut pod = Pod::scripted("a", tls.serve()).await;
    let sidecar = over([&pod], &ca(&[&authority]))
        .on_one_worker()
        .start()
        .await;
    for (setup, version) in [(&two, "2"), (&one, "1"), (&two, "2")] {
        let before = sidecar.get("/").await;
        assert_ne!(before.field("x-version"), Some(version));
        pod.kill().await;
        tls.change(&leaf, setup);
        pod.open(tls.serve());
        // The first may be told of what was learned and is wrong now.
        sidecar.get("/").await;
        let after = sidecar.get("/").await;
        assert_eq!(after.field("x-version"), Some(version), "{}", after.text());
    }
}
