//! Connections over TLS: kept, found to be over, and ended.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;

use super::{NAME, ca, over};
use crate::support::arrival::Ends;
use crate::support::certificates::Authority;
use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::tls::{Setup, Tls, VERSIONS};
use crate::support::{Pod, soon};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn http1() -> Setup<'static> {
    Setup {
        alpn: &["http/1.1"],
        ..Setup::default()
    }
}

/// The next request's head, and nothing after it.
async fn head(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// A request that must not be sent twice, without a body.
fn once() -> &'static str {
    "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"
}

#[tokio::test]
async fn a_connection_is_used_again_in_spite_of_session_tickets() {
    let authority = Authority::new("ca");
    for versions in VERSIONS {
        let setup = Setup {
            versions,
            ..http1()
        };
        let tls = Tls::with(&authority.issue(NAME), &setup);
        let pod = Pod::scripted("a", tls.serve()).await;
        let sidecar = over([&pod], &ca(&[&authority]))
            .on_one_worker()
            .start()
            .await;
        for _ in 0..5 {
            let mut client = sidecar.client().await;
            for _ in 0..5 {
                assert_eq!(client.get("/").await.status(), 200);
                assert_eq!(client.ask(post("/", b"body")).await.status(), 200);
            }
        }
        assert_eq!(pod.record().connections, 1);
        assert_eq!(tls.seen().requests.len(), 50);
    }
}

/// What a pod does between two requests that makes its connection useless.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    /// Says that it has ended, and goes on reading.
    CloseNotify,
    Close,
    Reset,
    /// Says something that nobody asked for.
    Blurt,
}

#[tokio::test]
async fn a_connection_that_was_spoilt_while_idle_is_not_used_again() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for spoil in [Spoil::CloseNotify, Spoil::Close, Spoil::Reset, Spoil::Blurt] {
        let tls = Tls::with(&authority.issue(NAME), &http1());
        let (idle, spoilt) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (go, done) = (idle.clone(), spoilt.clone());
        let pod = Pod::scripted("a", move |session: Session| {
            let (tls, go, done) = (tls.clone(), go.clone(), done.clone());
            async move {
                let mut stream = tls.accept(session).await?;
                head(&mut stream).await?;
                stream.write_all(ANSWER).await?;
                stream.flush().await?;
                go.acquire().await.unwrap().forget();
                let ends = Ends::of(stream.get_ref().0);
                match spoil {
                    Spoil::CloseNotify => {
                        let (_, session) = stream.get_mut();
                        session.send_close_notify();
                        stream.flush().await?;
                    }
                    Spoil::Close => {
                        // Without a word of TLS.
                        drop(stream);
                        ends.heard().await;
                        done.add_permits(1);
                        return Ok(());
                    }
                    Spoil::Reset => {
                        stream.get_ref().0.set_zero_linger()?;
                        drop(stream);
                        ends.heard().await;
                        done.add_permits(1);
                        return Ok(());
                    }
                    Spoil::Blurt => {
                        stream.write_all(ANSWER).await?;
                        stream.flush().await?;
                    }
                }
                ends.heard().await;
                done.add_permits(1);
                // Whatever is sent here is never answered.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.map(drop)
            }
        })
        .await;
        let sidecar = over([&pod], &mount).on_one_worker().start().await;
        let mut client = sidecar.client().await;
        for count in 1..=10 {
            let answer = client.ask(once()).await;
            assert_eq!(answer.text(), "ok", "{spoil:?}, {count}");
            idle.add_permits(1);
            spoilt.acquire().await.unwrap().forget();
        }
        assert_eq!(pod.record().connections, 10, "{spoil:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_ended_as_tls_asks_for() {
    let authority = Authority::new("ca");
    let tls = Tls::with(&authority.issue(NAME), &http1());
    let (ended_in, mut ended) = mpsc::channel(1);
    let pod = Pod::scripted("a", move |session: Session| {
        let (tls, ended) = (tls.clone(), ended_in.clone());
        async move {
            let mut stream = tls.accept(session).await?;
            head(&mut stream).await?;
            stream.write_all(ANSWER).await?;
            stream.flush().await?;
            // An end that TLS was not told of is an error.
            let end = stream.read(&mut [0; 16]).await;
            ended.send(end.map_err(|error| error.kind())).await.unwrap();
            Ok(())
        }
    })
    .await;
    let sidecar = over([&pod], &ca(&[&authority]))
        .with("--upstream-idle-timeout", "200ms")
        .start()
        .await;
    assert_eq!(sidecar.get("/").await.text(), "ok");
    assert_eq!(soon("the end", ended.recv()).await, Some(Ok(0)));
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_is_whole_only_if_tls_says_so() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    for says_so in [true, false] {
        let tls = Tls::with(&authority.issue(NAME), &http1());
        let pod = Pod::scripted("a", move |session: Session| {
            let tls = tls.clone();
            async move {
                let mut stream = tls.accept(session).await?;
                head(&mut stream).await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").await?;
                stream.flush().await?;
                if says_so {
                    stream.shutdown().await?;
                }
                Ok(())
            }
        })
        .await;
        let sidecar = over([&pod], &mount).start().await;
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        let answer = client.try_response().await;
        assert_eq!(answer.is_ok(), says_so, "{answer:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_by_its_head_gets_its_answer() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    let tls = Tls::with(&authority.issue(NAME), &http1());
    let pod = Pod::scripted("a", move |session: Session| {
        let tls = tls.clone();
        async move {
            let mut stream = tls.accept(session).await?;
            head(&mut stream).await?;
            let answer =
                b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await?;
            // Closed with the body unread: the kernel resets.
            stream.shutdown().await
        }
    })
    .await;
    let sidecar = over([&pod], &mount).start().await;
    for length in [1 << 10, 256 << 10] {
        for _ in 0..10 {
            let mut client = sidecar.client().await;
            client.send(post("/", &vec![b'x'; length])).await;
            let answer = client.response().await;
            assert_eq!(answer.status(), 413, "{length} bytes: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_pod_that_stalls_in_the_handshake_is_given_up_in_time() {
    let authority = Authority::new("ca");
    let mount = ca(&[&authority]);
    let stalled = Pod::scripted("stalled", |session: Session| async move {
        let _open = session;
        std::future::pending().await
    })
    .await;
    let sidecar = over([&stalled], &mount)
        .with("--connect-timeout", "200ms")
        .start()
        .await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UF")));

    let tls = Tls::new(&authority.issue(NAME));
    let good = Pod::scripted("good", tls.serve()).await;
    let sidecar = over([&stalled, &good], &mount)
        .with("--connect-timeout", "200ms")
        .start()
        .await;
    for _ in 0..4 {
        let answer = sidecar.client().await.ask(post("/", b"body")).await;
        assert_eq!(answer.pod(), "good");
        assert_eq!(answer.text(), "body");
    }
    assert!(stalled.record().connections >= 2);
}
