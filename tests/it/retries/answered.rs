//! Responses after which another pod is asked, and those that go to the client as they came.

use std::io;

use bytes::Bytes;
use h2::Reason;
use http::{Response, StatusCode};

use super::{KIB, MIB, request};
use crate::support::client::{get, post};
use crate::support::http2::{self, Exchange, call};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually, manners};

const BUSY: &str =
    "HTTP/1.1 503 Busy\r\nx-pod: a\r\nx-why: queue\r\ncontent-length: 5\r\n\r\nbusy\n";

async fn busy(name: &str) -> Pod {
    Pod::scripted(name, manners::say(BUSY)).await
}

#[tokio::test]
async fn a_named_status_sends_the_request_to_another_pod_and_the_connection_is_used_again() {
    for named in ["503", "5xx", "connect-failure,429,500-504"] {
        let (busy, serving) = (busy("a").await, Pod::start("b").await);
        let sidecar = Sidecar::over([&busy, &serving])
            .without_budget()
            .with("--retry-on", named)
            .on_one_worker()
            .start()
            .await;
        let mut client = sidecar.client().await;
        for _ in 0..8 {
            assert_eq!(client.get("/").await.pod(), "b", "{named}");
        }
        let record = busy.record();
        assert!(record.heads.len() >= 4, "{record:?}");
        assert_eq!(record.connections, 1, "{record:?}");
        let retries = sidecar.metric("podrobin_retries_total", &[]).await;
        assert_eq!(retries, record.heads.len() as f64);
    }
}

#[tokio::test]
async fn where_every_pod_says_so_the_last_response_comes_as_it_is() {
    let pods = [
        busy("a").await,
        busy("b").await,
        busy("c").await,
        busy("d").await,
    ];
    let sidecar = Sidecar::over(&pods).with("--retry-on", "503").start().await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, None));
    assert_eq!(answer.head.field("x-why"), Some("queue"));
    assert_eq!(answer.body, b"busy\n");
    let asked: Vec<usize> = pods.iter().map(|pod| pod.count("GET")).collect();
    assert_eq!(asked.iter().sum::<usize>(), 3, "{asked:?}");
    assert!(asked.iter().all(|asked| *asked <= 1), "{asked:?}");
}

#[tokio::test]
async fn what_must_not_be_repeated_or_is_not_affordable_comes_as_it_is() {
    let budget = |plan: crate::support::sidecar::Plan| {
        plan.with("--retry-budget-ratio", "0")
            .with("--retry-budget-floor", "0")
    };
    for (what, named, bytes, empty) in [
        ("a method", "503", post("/", b"once"), false),
        (
            "a body that was not kept",
            "503",
            request("PUT", MIB),
            false,
        ),
        (
            "another status",
            "502,504,unavailable",
            get("/").into_bytes(),
            false,
        ),
        ("no budget", "503", get("/").into_bytes(), true),
    ] {
        let pods = [busy("a").await, busy("b").await];
        let plan = Sidecar::over(&pods).with("--retry-on", named);
        let plan = if empty {
            budget(plan)
        } else {
            plan.without_budget()
        };
        let sidecar = plan.start().await;
        let answer = sidecar.client().await.ask(bytes).await;
        assert_eq!((answer.status(), answer.flag()), (503, None), "{what}");
        assert_eq!(answer.body, b"busy\n", "{what}");
        let asked: usize = pods.iter().map(|pod| pod.record().heads.len()).sum();
        assert_eq!(asked, 1, "{what}");
        let refused = sidecar.metric("podrobin_retries_refused_total", &[]).await;
        assert_eq!(refused, f64::from(u8::from(empty)), "{what}");
    }
}

#[tokio::test]
async fn a_body_is_sent_again_whole_after_a_status() {
    let pods = [busy("a").await, Pod::start("b").await];
    let sidecar = Sidecar::over(&pods)
        .without_budget()
        .with("--retry-on", "503")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        let answer = client.ask(request("PUT", 60 * KIB)).await;
        assert_eq!(answer.pod(), "b");
    }
    let record = pods[1].record();
    assert_eq!(record.requests.len(), 2);
    let sent = request("PUT", 60 * KIB);
    let mut seen = record.requests.iter();
    assert!(seen.all(|seen| seen.body.len() == 60 * KIB && sent.ends_with(&seen.body)));
}

#[tokio::test]
async fn a_response_with_a_long_or_slow_rest_is_left_with_its_connection() {
    let long = format!("HTTP/1.1 503 Busy\r\ncontent-length: {MIB}\r\n\r\nbegin");
    let slow = "HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nbegin".to_owned();
    for rest in [long, slow] {
        let pods = [
            Pod::scripted("a", manners::say(rest.clone())).await,
            Pod::start("b").await,
        ];
        let sidecar = Sidecar::over(&pods)
            .with("--retry-on", "503")
            .on_one_worker()
            .start()
            .await;
        let mut client = sidecar.client().await;
        for _ in 0..2 {
            assert_eq!(client.get("/").await.pod(), "b");
        }
        pods[0]
            .until("its connection's end", |record| {
                record.connections >= 1 && record.open == 0
            })
            .await;
        eventually("nothing in flight there", async || {
            (sidecar.state_of(&pods[0]).await["in_flight"] == 0).then_some(())
        })
        .await;
    }
}

/// A pod over HTTP/2 that fails each call before its first message.
async fn unavailable(mut exchange: Exchange) -> Result<(), h2::Error> {
    exchange.read().await?;
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", "14");
    let response = response.body(()).unwrap();
    exchange.respond.send_response(response, true)?;
    Ok(())
}

#[tokio::test]
async fn a_call_whose_code_is_named_goes_to_another_pod_and_says_that_it_was_there() {
    let pods = [
        Pod::scripted("a", http2::script(unavailable)).await,
        Pod::scripted("b", http2::answer_all).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .without_budget()
        .with("--retry-on", "unavailable")
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    for _ in 0..4 {
        let answer = client.send(call("/echo"), b"message").await;
        assert_eq!(answer.pod(), "b");
    }
    let before = |pod: &Pod| {
        let record = pod.record();
        assert!(record.calls.iter().all(|seen| seen.body == b"message"));
        let said = record.calls.iter().map(|seen| {
            let said = seen.headers.get("grpc-previous-rpc-attempts");
            said.map(|said| said.to_str().unwrap().to_owned())
        });
        said.collect::<Vec<_>>()
    };
    let (first, second) = (before(&pods[0]), before(&pods[1]));
    assert!(
        !first.is_empty() && first.iter().all(Option::is_none),
        "{first:?}"
    );
    let repeated = second.iter().flatten();
    assert_eq!(
        repeated.collect::<Vec<_>>(),
        vec!["1"; first.len()],
        "{second:?}"
    );
    // What was not passed on did not cost its connection.
    assert_eq!(pods[0].record().connections, 1);
}

#[tokio::test]
async fn a_call_is_left_alone_whose_code_is_not_named_or_comes_in_trailers() {
    let late = |exchange: Exchange| async move {
        let mut exchange = exchange;
        exchange.read().await?;
        let mut body = exchange.respond.send_response(exchange.ok(), false)?;
        body.send_data(Bytes::from_static(b"message"), false)?;
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("14"),
        )]);
        body.send_trailers(trailers)
    };
    for (named, in_trailers) in [("503,internal", false), ("unavailable", true)] {
        let pod = |name| async move {
            match in_trailers {
                true => Pod::scripted(name, http2::script(late)).await,
                false => Pod::scripted(name, http2::script(unavailable)).await,
            }
        };
        let pods = [pod("a").await, pod("b").await];
        let sidecar = Sidecar::over(&pods)
            .with("--retry-on", named)
            .http2_to_pods()
            .start()
            .await;
        let answer = sidecar.http2().await.send(call("/echo"), b"message").await;
        assert_eq!(answer.code(), Some("14"), "{named}");
        let asked: usize = pods.iter().map(|pod| pod.record().streams).sum();
        assert_eq!(asked, 1, "{named}");
    }
}

#[tokio::test]
async fn over_http2_the_stream_is_reset_whose_rest_is_too_long() {
    let endless = |exchange: Exchange| async move {
        let mut exchange = exchange;
        exchange.read().await?;
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        let response = response.body(()).unwrap();
        let mut body = exchange.respond.send_response(response, false)?;
        loop {
            body.reserve_capacity(16 * KIB);
            match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                Some(room) => body.send_data(Bytes::from(vec![b'x'; room?]), false)?,
                None => std::future::poll_fn(|cx| body.poll_reset(cx))
                    .await
                    .map(|reason| Err(h2::Error::from(reason)))??,
            }
        }
    };
    let pods = [
        Pod::scripted("a", http2::script(endless)).await,
        Pod::scripted("b", http2::answer_all).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .with("--retry-on", "503")
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.pod(), "b");
    }
    pods[0]
        .until("the reset", |record| {
            record.ended.first() == Some(&Some(Reason::CANCEL))
        })
        .await;
    assert_eq!(pods[0].record().connections, 1);
}

/// A pod may answer before it has the request's body: the next attempt gets all of it.
#[tokio::test]
async fn a_response_ahead_of_the_body_leaves_the_body_to_the_next_pod() {
    let hasty = |mut session: Session| async move {
        session.head().await?;
        session.wire.send(BUSY).await?;
        // Kept open until the sidecar closes it.
        session.wire.gone().await;
        io::Result::Ok(())
    };
    let pods = [Pod::scripted("a", hasty).await, Pod::start("b").await];
    let sidecar = Sidecar::over(&pods)
        .without_budget()
        .with("--retry-on", "503")
        .on_one_worker()
        .start()
        .await;
    let bytes = request("PUT", 8 * KIB);
    let (first, second) = bytes.split_at(bytes.len() - 4 * KIB);
    for _ in 0..2 {
        let mut client = sidecar.client().await;
        let served = pods[1].record().heads.len();
        client.send(first).await;
        pods[1]
            .until("the head", |record| record.heads.len() > served)
            .await;
        client.send(second).await;
        assert_eq!(client.response().await.pod(), "b");
    }
    let record = pods[1].record();
    assert!(
        record
            .requests
            .iter()
            .all(|seen| bytes.ends_with(&seen.body) && seen.body.len() == 8 * KIB)
    );
    assert!(!pods[0].record().heads.is_empty());
}
