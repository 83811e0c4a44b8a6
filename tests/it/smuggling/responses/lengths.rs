//! Content-Length and Transfer-Encoding of responses.

use super::Fate::{Passed, Refused};
use super::{Row, Then, hold};

/// By hyper's parser, but for the transfer codings.
#[tokio::test]
async fn a_response_whose_length_is_doubtful_is_refused() {
    let rows: &[Row] = &[
        ("lengths that differ", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", Refused),
        ("a list that differs", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok!", Refused),
        ("a list with nothing in it", b"HTTP/1.1 200 OK\r\ncontent-length: 2,\r\n\r\nok", Refused),
        ("a sign", b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", Refused),
        ("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", Refused),
        ("a length in hex", b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok", Refused),
        ("an empty length", b"HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok", Refused),
        ("a huge length", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nok", Refused),
        ("the largest length", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nok", Refused),
        ("chunks and lengths that differ", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("gzip before chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("gzip on a line before", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("chunked twice", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("a coding that looks like it", b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("a coding beside a length", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: identity\r\n\r\nok", Refused),
        ("a vertical tab", b"HTTP/1.1 200 OK\r\ntransfer-encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("a coding in HTTP/1.0", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Refused),
        ("a space before the colon", b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok", Refused),
    ];
    hold("GET", Then::Stay, rows).await;
}

#[tokio::test]
async fn a_response_whose_length_is_certain_is_told_one_length() {
    let rows: &[Row] = &[
        ("the same length twice", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", Passed(200, "ok")),
        ("a list of one length", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", Passed(200, "ok")),
        ("a length and chunks", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Passed(200, "ok")),
        ("chunks in other letters", b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: ChunkeD\r\n\r\n2\r\nok\r\n0\r\n\r\n", Passed(200, "ok")),
        ("a body that is a response", b"HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Passed(200, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
    ];
    hold("GET", Then::Stay, rows).await;
}

/// Of what has no body hyper reads no length.
#[tokio::test]
async fn a_length_that_is_none_is_refused_also_where_no_body_follows() {
    let rows: &[Row] = &[
        (
            "a list",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n",
            Passed(200, ""),
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
            Refused,
        ),
        (
            "a sign",
            b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n",
            Refused,
        ),
        (
            "two lengths of nothing",
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
            Refused,
        ),
    ];
    hold("HEAD", Then::Stay, rows).await;
}
