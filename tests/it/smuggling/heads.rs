//! Request lines and header fields.

use super::{Row, Scene, refused, row};

/// Request lines that are none. All by hyper's parser, but where a row says otherwise.
const LINES: &[(&str, &[u8])] = &[
    ("HTTP/0.9", b"GET /row"),
    ("HTTP/0.9 in full", b"GET /row HTTP/0.9"),
    ("HTTP/1.2", b"GET /row HTTP/1.2"),
    ("HTTP/1.10", b"GET /row HTTP/1.10"),
    ("HTTP/1.01", b"GET /row HTTP/1.01"),
    ("HTTP/1", b"GET /row HTTP/1"),
    ("HTTP/2.0", b"GET /row HTTP/2.0"),
    ("HTTP/3", b"GET /row HTTP/3"),
    ("http/1.1", b"GET /row http/1.1"),
    ("Http/1.1", b"GET /row Http/1.1"),
    ("HTTP 1.1", b"GET /row HTTP 1.1"),
    ("HTTP/1,1", b"GET /row HTTP/1,1"),
    ("no version but a slash", b"GET /row HTTP/"),
    ("another protocol", b"GET /row RTSP/1.0"),
    ("something behind the version", b"GET /row HTTP/1.1 x"),
    ("a space behind the version", b"GET /row HTTP/1.1 "),
    ("a tab behind the version", b"GET /row HTTP/1.1\t"),
    ("two versions", b"GET /row HTTP/1.1 HTTP/1.1"),
    ("two targets", b"GET /row /smuggled HTTP/1.1"),
    ("two spaces before the target", b"GET  /row HTTP/1.1"),
    ("two spaces before the version", b"GET /row  HTTP/1.1"),
    ("tabs for spaces", b"GET\t/row\tHTTP/1.1"),
    ("a tab before the version", b"GET /row\tHTTP/1.1"),
    ("a form feed for a space", b"GET\x0c/row HTTP/1.1"),
    ("a space ahead", b" GET /row HTTP/1.1"),
    ("a tab ahead", b"\tGET /row HTTP/1.1"),
    ("no method", b"/row HTTP/1.1"),
    ("no target", b"GET HTTP/1.1"),
    ("an empty target", b"GET  HTTP/1.1"),
    ("a method with a colon", b"GET: /row HTTP/1.1"),
    ("a method in quotes", b"\"GET\" /row HTTP/1.1"),
    ("a method with a slash", b"GET/row HTTP/1.1"),
    ("a method with a NUL", b"GET\0 /row HTTP/1.1"),
    ("a method beyond ASCII", b"G\xcbT /row HTTP/1.1"),
    ("a NUL in the target", b"GET /row\0 HTTP/1.1"),
    ("a CR in the target", b"GET /r\row HTTP/1.1"),
    ("a DEL in the target", b"GET /row\x7f HTTP/1.1"),
    ("an ESC in the target", b"GET /row\x1b HTTP/1.1"),
    ("a vertical tab in the target", b"GET /row\x0b HTTP/1.1"),
    ("a target without a slash", b"GET row HTTP/1.1"),
    (
        "a target that is a path behind a host",
        b"GET shop/row HTTP/1.1",
    ),
    ("a target that is a query", b"GET ?row HTTP/1.1"),
    ("a target that is a backslash", b"GET \\row HTTP/1.1"),
    // Ours.
    ("a target that is a host and port", b"GET shop:80 HTTP/1.1"),
    ("a lone CR for the line's end", b"GET /row HTTP/1.1\rX: 1"),
];

#[tokio::test]
async fn a_line_that_is_no_request_line_is_refused() {
    let bytes: Vec<_> = LINES
        .iter()
        .map(|(_, line)| [line, b"\r\nHost: shop\r\n\r\n".as_slice()].concat())
        .collect();
    let rows: Vec<Row> = LINES
        .iter()
        .zip(&bytes)
        .map(|((what, _), bytes)| refused(what, &[400], bytes))
        .collect();
    Scene::hold(&rows).await;
}

/// Header lines that are none. All by hyper's parser.
const FIELDS: &[(&str, &[u8])] = &[
    ("an empty name", b": a"),
    ("an empty name behind a space", b" : a"),
    ("no colon", b"X-A"),
    ("no colon but a request line", b"GET /smuggled HTTP/1.1"),
    ("a space before the colon", b"X-A : a"),
    ("a tab before the colon", b"X-A\t: a"),
    ("a space in the name", b"X A: a"),
    ("a folded line", b"X-A: a\r\n b"),
    ("a line folded by a tab", b"X-A: a\r\n\tb"),
    ("a folded Host", b"X-A: a\r\n Host: other"),
    ("an empty folded line", b"X-A: a\r\n "),
    ("a NUL in the name", b"X\0A: a"),
    ("a NUL in the value", b"X-A: a\0b"),
    ("a CR in the name", b"X\rA: a"),
    ("a CR in the value", b"X-A: a\rb"),
    ("a CR at the value's end", b"X-A: a\r"),
    ("a CR and a field", b"X-A: a\rContent-Length: 5"),
    ("an LF in the name", b"X\nA: a"),
    ("an ESC in the value", b"X-A: a\x1bb"),
    ("a BEL in the value", b"X-A: \x07"),
    ("a vertical tab in the value", b"X-A: a\x0bb"),
    ("a form feed in the value", b"X-A: a\x0cb"),
    ("a DEL in the value", b"X-A: a\x7fb"),
    ("a DEL in the name", b"X\x7fA: a"),
    ("a byte beyond ASCII in the name", b"X-\xe9: a"),
    ("UTF-8 in the name", "X-\u{e9}: a".as_bytes()),
    ("a slash in the name", b"X/A: a"),
    ("a quote in the name", b"\"X-A\": a"),
    ("parentheses in the name", b"X(A): a"),
    ("an at in the name", b"X@A: a"),
    ("a comma in the name", b"X,A: a"),
    ("a semicolon in the name", b"X;A: a"),
    ("a bracket in the name", b"X[A]: a"),
    ("a brace in the name", b"X{A}: a"),
    ("a backslash in the name", b"X\\A: a"),
    ("an equals sign in the name", b"X=A: a"),
    ("a question mark in the name", b"X?A: a"),
    ("an angle bracket in the name", b"<X-A>: a"),
    ("a pseudo-header of HTTP/2", b":path: /smuggled"),
];

#[tokio::test]
async fn a_line_that_is_no_field_is_refused_wherever_it_stands() {
    let mut table = Vec::new();
    for (what, field) in FIELDS {
        let first = [b"GET /row HTTP/1.1\r\n", *field, b"\r\nHost: shop\r\n\r\n"].concat();
        let last = [b"GET /row HTTP/1.1\r\nHost: shop\r\n", *field, b"\r\n\r\n"].concat();
        table.push((format!("{what}, first"), first));
        table.push((format!("{what}, last"), last));
    }
    let rows: Vec<Row> = table
        .iter()
        .map(|(what, bytes)| refused(what, &[400], bytes))
        .collect();
    Scene::hold(&rows).await;
}

/// What a parser may forgive (RFC 9112 section 2.2) and hyper does. The pod gets it in the one right form, so that there
/// is nothing left to forgive.
#[tokio::test]
async fn what_is_forgiven_reaches_the_pod_in_its_right_form() {
    Scene::hold(&[
        row(
            "LF for CRLF",
            b"POST /row HTTP/1.1\nHost: shop\nContent-Length: 5\n\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
        row(
            "LF for the last CRLF alone",
            b"POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
        row(
            "LF behind the request line alone",
            b"GET /row HTTP/1.1\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
        row(
            "empty lines ahead",
            b"\r\n\n\r\nGET /row HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
        row(
            "every character of a name, and bytes beyond ASCII in a value",
            b"GET /row HTTP/1.1\r\nHost: shop\r\n!#$%&'*+-.^_`|~0aZ: \xe9\xff\ta\r\nX-Empty:\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
        row(
            "a field that looks like a request line",
            b"GET /row HTTP/1.1\r\nHost: shop\r\nGET: /smuggled HTTP/1.1\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
        // `http::Uri` takes it off.
        row(
            "a fragment",
            b"GET /row#/smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
        row(
            "an encoded CRLF in the target",
            b"GET /row?%0d%0aX:%201 HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /row?%0d%0aX:%201", "GET /after"],
        ),
        row(
            "UTF-8 in the target",
            "GET /row\u{e9} HTTP/1.1\r\nHost: shop\r\n\r\n".as_bytes(),
            &[200, 200],
            &["GET /row\u{c3}\u{a9}", "GET /after"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_head_beyond_its_bounds_is_refused() {
    let head = |lines: &str| format!("GET /row HTTP/1.1\r\nHost: shop\r\n{lines}\r\n").into_bytes();
    Scene::hold(&[
        refused("many fields", &[431], &head(&"X-A: 1\r\n".repeat(10_000))),
        refused("many empty fields", &[431], &head(&"A:\r\n".repeat(1_000))),
        refused(
            "a long name",
            &[431],
            &head(&format!("{}: 1\r\n", "a".repeat(100_000))),
        ),
        refused(
            "a long value",
            &[431],
            &head(&format!("X-A: {}\r\n", "a".repeat(100_000))),
        ),
        refused(
            "a long method",
            &[431],
            &[
                &b"A".repeat(100_000),
                b" /row HTTP/1.1\r\nHost: shop\r\n\r\n".as_slice(),
            ]
            .concat(),
        ),
        refused(
            "a long target",
            &[431],
            format!(
                "GET /{} HTTP/1.1\r\nHost: shop\r\n\r\n",
                "a".repeat(100_000)
            )
            .as_bytes(),
        ),
        refused("empty lines without end", &[431], &b"\r\n".repeat(100_000)),
    ])
    .await;
}
