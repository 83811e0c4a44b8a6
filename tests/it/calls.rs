//! gRPC calls: their deadlines, and errors in their shape.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;

use crate::support::http2::{self, Exchange};
use crate::support::{Pod, Sidecar, Slices, soon};

/// Trailers that end a call well.
fn fine() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])
}

async fn never(mut exchange: Exchange) -> Result<(), h2::Error> {
    exchange.until_reset().await
}

fn with_deadline(path: &str, deadline: &str) -> http::Request<()> {
    let mut call = http2::call(path);
    let headers = call.headers_mut();
    headers.insert("grpc-timeout", deadline.parse().unwrap());
    call
}

#[tokio::test]
async fn an_error_is_a_head_with_the_tables_code_and_nothing_else() {
    let pod = Pod::refusing("a");
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let answer = sidecar
        .http2()
        .await
        .send(http2::call("/shop.Cart/Get"), b"")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert_eq!(answer.field("grpc-status"), Some("14"));
    assert_eq!(answer.flag(), Some("UF"));
    let message = answer.field("grpc-message").unwrap();
    assert!(message.contains("connection refused"), "{message}");
    assert!(answer.body.is_empty() && answer.trailers.is_empty());
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_is_held_that_waits_for_a_connection_or_for_its_pod() {
    let empty = Sidecar::watching(&Slices::none()).start_unready().await;
    let pod = Pod::scripted("a", http2::script(never)).await;
    let waiting = Sidecar::over([&pod]).http2_to_pods().start().await;
    let swallowing = Pod::swallowing("b").await;
    let connecting = Sidecar::over([&swallowing])
        .http2_to_pods()
        .with("--connect-timeout", "20s")
        .start()
        .await;
    for sidecar in [&empty, &waiting, &connecting] {
        let started = Instant::now();
        let answer = sidecar
            .http2()
            .await
            .send(with_deadline("/", "300m"), b"x")
            .await;
        assert_eq!((answer.status, answer.code()), (200, Some("4")));
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    pod.until("the reset", |record| record.ended == [Some(Reason::CANCEL)])
        .await;
}

#[tokio::test]
async fn a_deadline_cuts_a_call_whose_answer_has_begun() {
    let begins = |mut exchange: Exchange| async move {
        let mut body = exchange.respond.send_response(exchange.ok(), false)?;
        body.send_data(Bytes::from_static(b"x"), false)?;
        let reason = std::future::poll_fn(|cx| body.poll_reset(cx)).await?;
        Err(reason.into())
    };
    let pod = Pod::scripted("a", http2::script(begins)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    let call = client.open(with_deadline("/", "300m"), true).await.unwrap();
    let error = call.answer().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    pod.until("the reset", |record| record.ended == [Some(Reason::CANCEL)])
        .await;
}

#[tokio::test]
async fn a_call_without_a_deadline_or_a_request_that_is_no_call_waits() {
    let slow = |mut exchange: Exchange| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        exchange.answer().await
    };
    let pod = Pod::scripted("a", http2::script(slow)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    let mut plain = http2::post("/");
    let headers = plain.headers_mut();
    headers.insert("grpc-timeout", "1m".parse().unwrap());
    assert_eq!(client.send(plain, b"x").await.pod(), "a");
    assert_eq!(client.send(http2::call("/"), b"x").await.pod(), "a");
}

#[tokio::test]
async fn a_call_passes_with_its_metadata_and_its_end() {
    let echo = |mut exchange: Exchange| async move {
        exchange.read().await?;
        let mut body = exchange.respond.send_response(exchange.ok(), false)?;
        body.send_data(Bytes::from_static(b"answer"), false)?;
        body.send_trailers(fine())
    };
    let pod = Pod::scripted("a", http2::script(echo)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let mut call = with_deadline("/shop.Cart/Get", "10S");
    call.headers_mut()
        .insert("grpc-previous-rpc-attempts", "1".parse().unwrap());
    let answer = sidecar.http2().await.send(call, b"question").await;
    assert_eq!(
        (answer.pod(), &answer.body[..], answer.code()),
        ("a", &b"answer"[..], Some("0"))
    );
    let seen = pod.only_call();
    assert_eq!(seen.uri.path(), "/shop.Cart/Get");
    assert_eq!(seen.headers["te"], "trailers");
    assert_eq!(seen.headers["grpc-timeout"], "10S");
    assert_eq!(seen.headers["grpc-previous-rpc-attempts"], "1");
    assert_eq!(seen.body, b"question");
}

#[tokio::test]
async fn an_answer_without_messages_passes_as_one_head() {
    let unimplemented = |mut exchange: Exchange| async move {
        exchange.read().await?;
        let mut response = exchange.ok();
        let headers = response.headers_mut();
        headers.insert("grpc-status", "12".parse().unwrap());
        headers.insert("grpc-retry-pushback-ms", "7".parse().unwrap());
        exchange.respond.send_response(response, true)?;
        Ok(())
    };
    let pod = Pod::scripted("a", http2::script(unimplemented)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let answer = sidecar.http2().await.send(http2::call("/"), b"x").await;
    assert_eq!(answer.field("grpc-status"), Some("12"));
    assert_eq!(answer.field("grpc-retry-pushback-ms"), Some("7"));
    assert_eq!(answer.flag(), None);
}

#[tokio::test]
async fn messages_go_both_ways_while_the_call_is_open() {
    let echo = |mut exchange: Exchange| async move {
        let mut up = exchange.respond.send_response(exchange.ok(), false)?;
        while let Some(data) = exchange.body.data().await {
            let data = data?;
            exchange.body.flow_control().release_capacity(data.len())?;
            up.send_data(data, false)?;
        }
        up.send_trailers(fine())
    };
    let pod = Pod::scripted("a", http2::script(echo)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    let mut call = client.open(http2::call("/"), false).await.unwrap();
    let answer = soon("the answer's head", call.response).await;
    let mut answer = answer.unwrap().into_body();
    for message in [&b"one"[..], b"two", b"three"] {
        call.upload
            .send_data(Bytes::from_static(message), false)
            .unwrap();
        let echo = soon("the echo", answer.data()).await;
        assert_eq!(echo.unwrap().unwrap(), message);
    }
    call.upload.send_data(Bytes::new(), true).unwrap();
    assert!(answer.data().await.is_none());
    assert_eq!(
        answer.trailers().await.unwrap().unwrap()["grpc-status"],
        "0"
    );
}

#[tokio::test]
async fn each_error_has_its_code() {
    let broken = Pod::start("a").await;
    let sidecar = Sidecar::over([&broken]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    let answer = client.send(http2::call("/"), b"").await;
    assert_eq!((answer.flag(), answer.code()), (Some("UPE"), Some("13")));

    let mut crowded = http2::call("/");
    for number in 0..101 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        crowded.headers_mut().insert(name, "1".parse().unwrap());
    }
    let answer = client.send(crowded, b"").await;
    assert_eq!((answer.flag(), answer.code()), (Some("DPE"), Some("8")));

    let pod = Pod::scripted("a", http2::script(never)).await;
    let plan = Sidecar::over([&pod])
        .http2_to_pods()
        .with("--max-requests", "1");
    let sidecar = plan.start().await;
    let client = sidecar.http2().await;
    let _busy = client.open(http2::call("/"), true).await.unwrap();
    pod.until("the first call", |record| record.streams == 1)
        .await;
    let answer = client.send(http2::call("/"), b"").await;
    assert_eq!((answer.flag(), answer.code()), (Some("UO"), Some("8")));
}
