//! Upgrades and HTTP/2, which has none of this kind.

use std::io;

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, Response, StatusCode, Version};
use tokio::net::TcpStream;

use super::{ASK, echoing};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, soon};

async fn connected(sidecar: &Sidecar) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(sidecar.proxy).await.unwrap();
    let (mut sender, mut connection) = h2::client::handshake(stream).await.unwrap();
    // Until the sidecar's settings have come.
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    soon("a pong", pings.ping(h2::Ping::opaque()))
        .await
        .unwrap();
    sender = soon("room", sender.ready()).await.unwrap();
    sender
}

fn request(method: Method, uri: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(uri);
    request.version(Version::HTTP_2).body(()).unwrap()
}

#[tokio::test]
async fn an_extended_connect_is_not_offered_and_refused() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut sender = connected(&sidecar).await;
    assert!(!sender.is_extended_connect_protocol_enabled());
    let mut extended = request(Method::CONNECT, "http://shop/chat");
    extended
        .extensions_mut()
        .insert(Protocol::from_static("websocket"));
    let (response, _) = sender.send_request(extended, false).unwrap();
    // Unoffered, it is malformed: its stream ends, and the connection goes on.
    let error = soon("a refusal", response).await.unwrap_err();
    assert!(error.is_reset(), "{error:?}");

    let (response, _) = sender
        .send_request(request(Method::CONNECT, "shop:80"), false)
        .unwrap();
    let response = soon("an answer", response).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["x-podrobin-error"], "DPE");
    assert_eq!(pod.record().heads.len(), 0);
}

#[tokio::test]
async fn a_pod_over_http2_sees_a_plain_request() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        let handshake = h2::server::handshake(session.wire.stream()).await;
        let mut connection = handshake.map_err(io::Error::other)?;
        while let Some(asked) = connection.accept().await {
            let (request, mut reply) = asked.map_err(io::Error::other)?;
            let names: Vec<&str> = request
                .headers()
                .keys()
                .map(http::HeaderName::as_str)
                .collect();
            let answer = Response::builder().header("x-seen", names.join(" "));
            let sent = reply.send_response(answer.body(()).unwrap(), true);
            sent.map_err(io::Error::other)?;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--upstream-protocol", "http2")
        .start()
        .await;
    let answer = sidecar.client().await.ask(ASK).await;
    assert_eq!(answer.status(), 200);
    let seen: Vec<&str> = answer.field("x-seen").unwrap().split(' ').collect();
    assert!(seen.contains(&"sec-websocket-key"), "{seen:?}");
    assert!(
        !seen.contains(&"upgrade") && !seen.contains(&"connection"),
        "{seen:?}"
    );
}
