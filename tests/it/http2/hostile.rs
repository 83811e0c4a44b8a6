//! Pods that break the rules of HTTP/2: their own requests fail or move, and nobody else's.

use std::io;
use std::time::Duration;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, WINDOW_UPDATE, block,
};
use crate::support::http2;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually, soon};

/// What a pod does to each request, once its head has come on this stream.
type Trick = fn(u32) -> Vec<Frame>;

/// Sent over and over, after the trick, until the sidecar has had enough.
type Flood = fn(u32) -> Option<Frame>;

const OK: [(&str, &str); 1] = [(":status", "200")];

async fn play(mut session: Session, trick: Trick, flood: Flood) -> io::Result<()> {
    session.wire.begin_as_server(&[]).await?;
    let stream = session.wire.frame_of(HEADERS).await?.stream;
    for frame in trick(stream) {
        session.wire.send_frame(&frame).await?;
    }
    if let Some(frame) = flood(stream) {
        let burst = frame.bytes().repeat((1 << 18) / frame.bytes().len());
        for _ in 0..128 {
            session.wire.send(&burst).await?;
        }
    }
    session.wire.gone().await;
    Ok(())
}

fn nothing(_: u32) -> Option<Frame> {
    None
}

#[tokio::test]
async fn a_pod_that_breaks_the_rules_harms_nobody_else() {
    let tricks: [(&str, Trick, Flood); 20] = [
        (
            "a head without status",
            |stream| vec![Frame::response(stream, END_STREAM, &[("x", "1")])],
            nothing,
        ),
        (
            "two statuses",
            |stream| {
                vec![Frame::response(
                    stream,
                    END_STREAM,
                    &[(":status", "200"), (":status", "404")],
                )]
            },
            nothing,
        ),
        (
            "a status that is none",
            |stream| vec![Frame::response(stream, END_STREAM, &[(":status", "abc")])],
            nothing,
        ),
        (
            "a name in upper case",
            |stream| {
                vec![Frame::response(
                    stream,
                    END_STREAM,
                    &[(":status", "200"), ("X-Upper", "1")],
                )]
            },
            nothing,
        ),
        (
            "a field of an HTTP/1.1 connection",
            |stream| {
                vec![Frame::response(
                    stream,
                    END_STREAM,
                    &[(":status", "200"), ("connection", "close")],
                )]
            },
            nothing,
        ),
        (
            "a line break in a value",
            |stream| {
                vec![Frame::response(
                    stream,
                    END_STREAM,
                    &[(":status", "200"), ("x", "a\r\nset-cookie: b")],
                )]
            },
            nothing,
        ),
        (
            "an answer on a stream that nobody opened",
            |stream| vec![Frame::response(stream + 2, END_STREAM, &OK)],
            nothing,
        ),
        (
            "a body longer than said",
            |stream| {
                let fields = [(":status", "200"), ("content-length", "2")];
                vec![
                    Frame::response(stream, 0, &fields),
                    Frame::new(DATA, END_STREAM, stream, *b"abc"),
                ]
            },
            nothing,
        ),
        (
            "a body shorter than said",
            |stream| {
                let fields = [(":status", "200"), ("content-length", "9")];
                vec![
                    Frame::response(stream, 0, &fields),
                    Frame::new(DATA, END_STREAM, stream, *b"abc"),
                ]
            },
            nothing,
        ),
        (
            "a farewell to every connection",
            |_| vec![Frame::goaway(0, 0)],
            nothing,
        ),
        (
            "a push",
            |stream| vec![Frame::new(5, END_HEADERS, stream, [0, 0, 0, 2])],
            nothing,
        ),
        (
            "a body before the head",
            |stream| vec![Frame::new(DATA, END_STREAM, stream, *b"x")],
            nothing,
        ),
        (
            "a compressed block that is none",
            |stream| {
                vec![Frame::new(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    stream,
                    [0xff; 40],
                )]
            },
            nothing,
        ),
        (
            "a frame larger than allowed",
            |stream| vec![Frame::new(DATA, 0, stream, vec![0; 20_000])],
            nothing,
        ),
        (
            "a window that overflows",
            |_| vec![Frame::new(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])],
            nothing,
        ),
        (
            "a head that never ends",
            |stream| vec![Frame::new(HEADERS, 0, stream, block(&OK))],
            |stream| {
                Some(Frame::new(
                    CONTINUATION,
                    0,
                    stream,
                    block(&[("x", &"y".repeat(16_000))]),
                ))
            },
        ),
        (
            "interim answers without end",
            |_| vec![],
            |stream| {
                Some(Frame::response(
                    stream,
                    0,
                    &[(":status", "103"), ("link", "</a>")],
                ))
            },
        ),
        (
            "pings without end",
            |_| vec![],
            |_| Some(Frame::new(PING, 0, 0, [0; 8])),
        ),
        (
            "settings without end",
            |_| vec![],
            |_| Some(Frame::settings(&[(4, 65_535)])),
        ),
        (
            "empty data without end",
            |stream| vec![Frame::response(stream, 0, &OK)],
            |stream| Some(Frame::new(DATA, 0, stream, [])),
        ),
    ];
    let rows = tricks.map(|(name, trick, flood)| beside_a_good_one(name, trick, flood));
    futures::future::join_all(rows).await;
}

async fn beside_a_good_one(name: &'static str, trick: Trick, flood: Flood) {
    let bad = Pod::scripted("bad", move |session| play(session, trick, flood)).await;
    let good = Pod::scripted("good", http2::answer_all).await;
    let sidecar = Sidecar::over([&bad, &good])
        .http2_to_pods()
        .with("--response-timeout", "1s")
        .on_one_worker()
        .start()
        .await;
    let before = sidecar.resident();
    let client = sidecar.http2().await;
    let mut answers = 0;
    for _ in 0..8 {
        let call = client.open(http2::get("/"), true).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), call.answer()).await;
        // Cut short, an error of ours, or the good pod's answer; never a mixture.
        match answer.unwrap_or_else(|_| panic!("{name}: no answer")) {
            Ok(answer) if answer.flag().is_none() => {
                assert_eq!(answer.field("x-pod"), Some("good"), "{name}: {answer:?}");
                answers += 1;
            }
            Ok(answer) => assert!(answer.status >= 500, "{name}: {answer:?}"),
            Err(error) => assert!(error.is_reset(), "{name}: {error:?}"),
        }
    }
    assert!(answers >= 4, "{name}: {answers} of 8 answered");
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{name}: {grown} bytes more");
}

/// Without any timeout set.
#[tokio::test]
async fn a_pod_that_never_comes_to_its_answer_is_given_up() {
    let endless: Flood = |stream| Some(Frame::response(stream, 0, &[(":status", "103")]));
    let pod = Pod::scripted("a", move |session| play(session, |_| Vec::new(), endless)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let answer = sidecar.http2().await.get("/").await;
    assert_eq!((answer.status, answer.flag()), (502, Some("UPE")));
}

/// "No error" in the middle of a response is an error all the same.
#[tokio::test]
async fn a_response_that_is_broken_off_is_never_taken_for_whole() {
    let pod = Pod::scripted("a", |session| {
        let half: Trick = |stream| {
            vec![
                Frame::response(stream, 0, &OK),
                Frame::new(DATA, 0, stream, *b"half"),
                Frame::reset(stream, 0),
            ]
        };
        play(session, half, nothing)
    })
    .await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let error = sidecar.http2().await.try_get("/").await.unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    // The pod plays its trick once a connection, and another sidecar has one of its own.
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let mut client = sidecar.client().await;
    client.send(crate::support::client::get("/")).await;
    assert!(client.try_response().await.is_err());
}

/// Not even its socket: what is sent to it stays with us.
#[tokio::test]
async fn a_pod_that_never_reads_is_given_up_and_holds_up_no_other() {
    const UPLOADS: usize = 20;
    let deaf = Pod::scripted("deaf", |mut session: Session| async move {
        // Room for all of every body, as far as HTTP/2 goes.
        session.wire.begin_as_server(&[(4, 1 << 30)]).await?;
        session
            .wire
            .send_frame(&Frame::new(
                WINDOW_UPDATE,
                0,
                0,
                (1_u32 << 30).to_be_bytes(),
            ))
            .await?;
        session.wire.frame_of(HEADERS).await?;
        std::future::pending().await
    })
    .await;
    let good = Pod::scripted("good", http2::answer_all).await;
    let sidecar = Sidecar::over([&deaf, &good])
        .http2_to_pods()
        .on_one_worker()
        .with("--upstream-keepalive", "2s")
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut calls = Vec::new();
    for _ in 0..UPLOADS {
        let mut call = client.open(http2::post("/"), false).await.unwrap();
        call.upload.reserve_capacity(1 << 20);
        call.upload
            .send_data(vec![b'x'; 1 << 20].into(), true)
            .unwrap();
        calls.push(call);
    }
    let mut answered = 0;
    for call in calls {
        let answer = soon("an answer", call.answer()).await.unwrap();
        match answer.status {
            200 => answered += 1,
            status => assert!(status == 502 || status == 504, "{status}"),
        }
    }
    assert!(answered >= UPLOADS / 2, "{answered} of {UPLOADS} answered");
    let resident = sidecar.resident();
    assert!(resident < 50 << 20, "{resident} bytes");
    eventually("the pod's connection to be given up", async || {
        let open = sidecar
            .metric("podrobin_upstream_connections_open", &[])
            .await;
        (open <= 1.0).then_some(())
    })
    .await;
}
