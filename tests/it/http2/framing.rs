//! Clients that break the rules of HTTP/2.

use std::io::ErrorKind;

use crate::support::frames::{
    self, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, block,
};
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, manners, soon};

const PROTOCOL_ERROR: u32 = 1;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A GET's fields, with others in place of or after them.
pub(super) fn fields<'a>(change: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "shop"),
        (":path", "/"),
    ];
    fields.extend(change);
    fields
}

pub(super) async fn connect(sidecar: &Sidecar) -> Wire {
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    wire.begin_as_client(&[]).await.unwrap();
    wire
}

/// What came of a request with these fields: a reset's code, a GOAWAY's code, or the response's frame.
async fn outcome(sidecar: &Sidecar, fields: &[(&str, &str)]) -> Frame {
    let mut wire = connect(sidecar).await;
    let head = Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, block(fields));
    wire.send_frame(&head).await.unwrap();
    soon("an answer", async {
        loop {
            let frame = wire.frame().await.unwrap();
            if matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY) {
                return frame;
            }
        }
    })
    .await
}

/// Waits for the end of the connection and returns the code of its GOAWAY, if it had one.
pub(super) async fn farewell(wire: &mut Wire) -> Option<u32> {
    soon("the connection's end", async {
        let mut code = None;
        loop {
            match wire.frame().await {
                Ok(frame) if frame.is(GOAWAY) => code = Some(frame.code()),
                Ok(_) => {}
                Err(error) => {
                    let ends = [
                        ErrorKind::UnexpectedEof,
                        ErrorKind::ConnectionReset,
                        ErrorKind::BrokenPipe,
                    ];
                    assert!(ends.contains(&error.kind()), "{error}");
                    return code;
                }
            }
        }
    })
    .await
}

/// Each malformed by RFC 9113 sections 8.1 to 8.3. None may reach the pod.
#[tokio::test]
async fn malformed_heads_are_reset_and_no_pod_sees_them() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let good = fields(&[]);
    let mut rows = vec![
        fields(&[("Upper", "1")]),
        fields(&[("connection", "close")]),
        fields(&[("connection", "x-internal")]),
        fields(&[("transfer-encoding", "chunked")]),
        fields(&[("keep-alive", "1")]),
        fields(&[("proxy-connection", "close")]),
        fields(&[("upgrade", "websocket")]),
        fields(&[("te", "gzip")]),
        fields(&[("x", "a\r\nhost: evil")]),
        fields(&[("x", "a\nb")]),
        fields(&[("x", "a\0b")]),
        fields(&[("x y", "1")]),
        fields(&[("x\r\ny", "1")]),
        fields(&[("", "1")]),
        fields(&[(":path", "/twice")]),
        fields(&[(":method", "POST")]),
        fields(&[(":status", "200")]),
        fields(&[(":unknown", "1")]),
        fields(&[("x", "1"), (":late", "1")]),
        // Pseudo-header after a field.
        vec![good[0], good[1], ("x", "1"), good[2], good[3]],
        // One is missing.
        vec![good[1], good[2], good[3]],
        vec![good[0], good[2], good[3]],
        vec![good[0], good[1], good[2]],
        // Bad ones.
        vec![good[0], good[1], good[2], (":path", "")],
        vec![("", "GET"), good[1], good[2], good[3]],
        vec![(":method", "G T"), good[1], good[2], good[3]],
        vec![(":method", "GET\r\n"), good[1], good[2], good[3]],
        vec![
            good[0],
            good[1],
            good[2],
            (":path", "/ HTTP/1.1\r\nhost: evil"),
        ],
        vec![good[0], good[1], (":authority", "a b"), good[3]],
    ];
    // A body longer or shorter than it says, where there is none.
    rows.push(fields(&[("content-length", "5")]));
    for fields in rows {
        let frame = outcome(&sidecar, &fields).await;
        assert!(
            matches!(frame.kind, RST_STREAM | GOAWAY) && frame.code() == PROTOCOL_ERROR,
            "{fields:?}: {frame:?}"
        );
    }
    assert_eq!(pod.record().heads.len(), 0);
    // And what differs only in being right does.
    let frame = outcome(&sidecar, &fields(&[("te", "trailers")])).await;
    assert_eq!(frame.kind, HEADERS);
    assert_eq!(pod.record().heads.len(), 1);
}

/// Well-formed by HTTP/2, and refused by the rules of requests: an answer, and nothing for the pod.
#[tokio::test]
async fn requests_that_no_pod_may_see_are_answered() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let client = sidecar.http2().await;
    let differing = http::Request::get("http://shop/").header("host", "other");
    let connect = http::Request::builder().method("CONNECT").uri("shop:80");
    let asterisk = http::Request::get("http://shop/*");
    let userinfo = http::Request::get("http://user@shop/");
    let mut many = http::Request::get("http://shop/");
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "1");
    }
    let rows = [
        (differing, 400),
        (connect, 405),
        (asterisk, 200),
        (userinfo, 400),
        (many, 431),
    ];
    for (request, status) in rows {
        let request = request.body(()).unwrap();
        let what = format!("{request:?}");
        let answer = client
            .open(request, true)
            .await
            .unwrap()
            .answer()
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{what}");
    }
    assert_eq!(pod.record().heads.len(), 1);
}

#[tokio::test]
async fn a_body_that_differs_from_its_length_never_reaches_the_pod_whole() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    for (said, sent) in [("5", &b"abc"[..]), ("3", b"abcde")] {
        let mut wire = connect(&sidecar).await;
        let mut fields = fields(&[("content-length", said)]);
        fields[0] = (":method", "POST");
        wire.send_frame(&Frame::new(HEADERS, END_HEADERS, 1, block(&fields)))
            .await
            .unwrap();
        wire.send_frame(&Frame::new(DATA, END_STREAM, 1, sent))
            .await
            .unwrap();
        let frame = soon("a reset", wire.frame_of(RST_STREAM)).await.unwrap();
        assert_eq!(frame.code(), PROTOCOL_ERROR, "{said}");
    }
    assert_eq!(pod.record().requests.len(), 0);
}

#[tokio::test]
async fn a_first_word_that_is_neither_version_gets_no_answer_and_one_that_is_malformed_does() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send("INVALID CONNECTION PREFACE\r\n\r\n").await;
    client.closed().await;
    let mut client = sidecar.client().await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: a\r\nbad name: 1\r\n\r\n")
        .await;
    assert_eq!((answer.status(), answer.flag()), (400, Some("DPE")));
    client.closed().await;
    // The beginning of the other version's first words, byte by byte, and then something else.
    let mut client = sidecar.client().await;
    for byte in &frames::PREFACE[..20] {
        client.send([*byte]).await;
    }
    let answer = client.ask("XX\r\n\r\n").await;
    assert_eq!(answer.status(), 400);
    assert_eq!(pod.record().heads.len(), 0);
}

pub(super) fn is_answer(frame: &Frame) -> bool {
    matches!(frame.kind, HEADERS | GOAWAY)
}

/// The last byte of a body and its end may come in two frames; a pod over HTTP/1.1 answers after the first.
#[tokio::test]
async fn an_answer_before_the_frame_that_ends_the_request_resets_nothing() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let pod = Pod::scripted("a", manners::say(answer)).await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut wire = connect(&sidecar).await;
        let fields = fields(&[("content-length", "4")]);
        let head = Frame::new(HEADERS, END_HEADERS, 1, block(&fields));
        wire.send_frame(&head).await.unwrap();
        let body = Frame::new(DATA, 0, 1, "body");
        wire.send_frame(&body).await.unwrap();
        soon("the end of the answer", async {
            loop {
                let frame = wire.frame().await.unwrap();
                assert!(!frame.is(RST_STREAM), "{answer}");
                if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                    return;
                }
            }
        })
        .await;
        let end = Frame::new(DATA, END_STREAM, 1, "");
        let ping = Frame::new(PING, 0, 0, *b"here yet");
        for sent in [&[ping.clone()][..], &[end, ping]] {
            for frame in sent {
                wire.send_frame(frame).await.unwrap();
            }
            soon("a pong", async {
                loop {
                    let frame = wire.frame().await.unwrap();
                    assert!(!matches!(frame.kind, RST_STREAM | GOAWAY), "{answer}");
                    if frame.is(PING) && frame.flags & frames::ACK != 0 {
                        return;
                    }
                }
            })
            .await;
        }
    }
}
