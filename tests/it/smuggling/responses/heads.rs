//! Status lines, header fields and interim responses.

use super::Fate::{Passed, Refused};
use super::{Row, Then, hold};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

/// By hyper's parser.
#[tokio::test]
async fn a_response_head_that_is_none_is_refused() {
    let rows: &[Row] = &[
        (
            "a folded line",
            b"HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a folded length",
            b"HTTP/1.1 200 OK\r\nx-a: 1\r\n content-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a CR in a value",
            b"HTTP/1.1 200 OK\r\nx-a: 1\r2\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a CR and a field",
            b"HTTP/1.1 200 OK\r\nx-a: 1\rset-cookie: a=1\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a NUL in a value",
            b"HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a NUL in a name",
            b"HTTP/1.1 200 OK\r\nx\0a: 1\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "an ESC in a value",
            b"HTTP/1.1 200 OK\r\nx-a: \x1b[2J\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a CR in the reason",
            b"HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a NUL in the reason",
            b"HTTP/1.1 200 O\0K\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "an empty name",
            b"HTTP/1.1 200 OK\r\n: 1\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "no colon",
            b"HTTP/1.1 200 OK\r\nx-a\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a space in a name",
            b"HTTP/1.1 200 OK\r\nx a: 1\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status 099",
            b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status 000",
            b"HTTP/1.1 000 None\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status 1000",
            b"HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status 20",
            b"HTTP/1.1 20 Short\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status -20",
            b"HTTP/1.1 -20 Signed\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "status 2x0",
            b"HTTP/1.1 2x0 None\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "no status",
            b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "HTTP/2.0",
            b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "HTTP/1.2",
            b"HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        ("HTTP/0.9", b"<html>\r\n\r\n", Refused),
        (
            "another protocol",
            b"ICY 200 OK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a space ahead",
            b" HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Refused,
        ),
        (
            "a request",
            b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            Refused,
        ),
    ];
    hold("GET", Then::Stay, rows).await;
}

/// What a parser may forgive and hyper does: the client gets it in the one right form.
#[tokio::test]
async fn what_a_response_is_forgiven_reaches_the_client_in_its_right_form() {
    let rows: &[Row] = &[
        (
            "LF for CRLF",
            b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
            Passed(200, "ok"),
        ),
        (
            "empty lines ahead",
            b"\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Passed(200, "ok"),
        ),
        (
            "no reason",
            b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
            Passed(200, "ok"),
        ),
        (
            "an odd reason",
            b"HTTP/1.1 200 \xe9 \x80\tx\r\ncontent-length: 2\r\n\r\nok",
            Passed(200, "ok"),
        ),
        (
            "HTTP/1.0 that stays open",
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            Passed(200, "ok"),
        ),
        (
            "HTTP/1.0",
            b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Passed(200, "ok"),
        ),
        // RFC 9110 section 15 leaves them to the client.
        (
            "status 600",
            b"HTTP/1.1 600 High\r\ncontent-length: 2\r\n\r\nok",
            Passed(600, "ok"),
        ),
        (
            "status 999",
            b"HTTP/1.1 999 Highest\r\ncontent-length: 2\r\n\r\nok",
            Passed(999, "ok"),
        ),
    ];
    hold("GET", Then::Stay, rows).await;
}

/// Interim responses are not passed on, and none can stand for the answer.
#[tokio::test]
async fn interim_responses_answer_nothing() {
    let rows: &[Row] = &[
        ("100 unasked", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("103 with fields", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\nset-cookie: a=1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("199", b"HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("100 in HTTP/1.0", b"HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("a length without a body", b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("a length with a body", b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Refused),
        ("chunks", b"HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("a change of protocols", b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", Refused),
        ("a change of protocols and a response", b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned", Refused),
    ];
    hold("GET", Then::Stay, rows).await;
}

#[tokio::test]
async fn a_response_may_come_byte_by_byte() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
    ] {
        let pod = Pod::scripted("a", move |mut session: Session| async move {
            while session.request().await?.is_some() {
                for byte in answer.bytes() {
                    session.wire.send([byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        })
        .await;
        let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
        let mut client = sidecar.client().await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.text(), "ok");
        }
        assert_eq!(pod.record().connections, 1);
    }
}
