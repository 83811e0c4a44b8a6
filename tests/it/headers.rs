//! What a pod sees of a request's headers, and a client of a response's.

use crate::support::head::{Head, latin1};
use crate::support::{Pod, Sidecar, manners};

const OURS: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// Sends a head through and gives back what the pod saw.
async fn seen_by_pod(request: impl AsRef<[u8]>) -> Head {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.client().await.ask(request).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    pod.only_request().head
}

/// Lets a pod say that and gives back what the client saw.
async fn seen_by_client(answer: &'static str) -> Head {
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    sidecar.get("/").await.head
}

#[tokio::test]
async fn headers_of_the_clients_hop_stay_there() {
    let seen = seen_by_pod(
        "GET / HTTP/1.1\r\n\
         X-First: 1\r\n\
         Connection: keep-alive, X-Named, upgrade\r\n\
         Host: shop\r\n\
         X-Named: secret\r\n\
         Connection: x-also-named,,\r\n\
         X-Also-Named: secret\r\n\
         Keep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\n\
         X-Middle: 2\r\n\
         TE: gzip, deflate;q=0.5\r\n\
         Upgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\
         X-Last: 3\r\n\r\n",
    )
    .await;
    let names: Vec<String> = seen.names();
    let kept: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !OURS.contains(name))
        .collect();
    assert_eq!(kept, ["x-first", "host", "x-middle", "x-last"]);
}

#[tokio::test]
async fn connection_cannot_take_away_what_makes_the_request_what_it_is() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .ask(
            "POST /sized HTTP/1.1\r\n\
             Connection: host, content-length, authorization\r\n\
             Host: shop\r\n\
             Authorization: Basic eDp5\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
        .await;
    client
        .ask(
            "POST /chunked HTTP/1.1\r\n\
             Connection: transfer-encoding, Host\r\n\
             Host: shop\r\n\
             Transfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\n\r\n",
        )
        .await;
    let record = pod.record();
    let [sized, chunked] = &record.requests[..] else {
        panic!("{record:?}");
    };
    assert_eq!(sized.field("host"), Some("shop"));
    assert_eq!(sized.field("authorization"), Some("Basic eDp5"));
    assert_eq!(sized.field("content-length"), Some("4"));
    assert_eq!(sized.body, b"body");
    assert_eq!(chunked.field("host"), Some("shop"));
    assert_eq!(chunked.field("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.body, b"body");
}

#[tokio::test]
async fn te_trailers_reaches_the_pod_and_no_other_coding_does() {
    let seen =
        seen_by_pod("GET / HTTP/1.1\r\nHost: shop\r\nConnection: TE\r\nTE: gzip, Trailers\r\n\r\n")
            .await;
    assert_eq!(seen.all("te"), ["trailers"]);
}

#[tokio::test]
async fn order_and_values_of_headers_reach_the_pod_as_they_were() {
    let request = [
        b"GET / HTTP/1.1\r\nX-Z: 1\r\nHost: Shop.Example:8080\r\nCookie: a=1; b=\"2\"\r\nX-Obs: caf\xe9 \xff\x80\r\n"
            .as_slice(),
        b"X-Tab: a\tb\r\nX-Empty:\r\nX-Padded: \t padded \t\r\nAccept: */*, text/html;q=0.3\r\nX-A: 2\r\nX-A: 3\r\n\r\n",
    ]
    .concat();
    let seen = seen_by_pod(request).await;
    assert_eq!(
        seen.names()[..9],
        [
            "x-z", "host", "cookie", "x-obs", "x-tab", "x-empty", "x-padded", "accept", "x-a"
        ]
    );
    assert_eq!(seen.field("host"), Some("Shop.Example:8080"));
    assert_eq!(seen.field("cookie"), Some("a=1; b=\"2\""));
    assert_eq!(
        seen.field("x-obs"),
        Some(latin1(b"caf\xe9 \xff\x80").as_str())
    );
    assert_eq!(seen.field("x-tab"), Some("a\tb"));
    assert_eq!(seen.field("x-empty"), Some(""));
    assert_eq!(seen.field("x-padded"), Some("padded"));
    assert_eq!(seen.field("accept"), Some("*/*, text/html;q=0.3"));
    assert_eq!(seen.all("x-a"), ["2", "3"]);
}

#[tokio::test]
async fn nothing_is_invented_but_who_forwarded_what() {
    let seen = seen_by_pod("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    let mut names = seen.names();
    names.sort();
    assert_eq!(
        names,
        [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto"
        ]
    );
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("shop"));
}

#[tokio::test]
async fn the_client_is_appended_to_those_it_forwarded_for() {
    let seen = seen_by_pod(
        "GET / HTTP/1.1\r\nHost: shop\r\n\
         X-Forwarded-For: 192.0.2.1\r\n\
         X-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: shop.example\r\n\r\n",
    )
    .await;
    let forwarded = seen.all("x-forwarded-for").join(", ");
    assert_eq!(forwarded, "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1");
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.all("x-forwarded-host"), ["shop.example"]);
}

#[tokio::test]
async fn headers_of_the_pods_hop_stay_there() {
    let seen = seen_by_client(
        "HTTP/1.1 200 OK\r\n\
         Server: toy\r\n\
         Connection: keep-alive, x-named, content-length\r\n\
         Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         X-Named: secret\r\n\
         Keep-Alive: timeout=5, max=100\r\n\
         Proxy-Connection: keep-alive\r\n\
         Upgrade: h2c\r\n\
         X-Middle: 1\r\n\
         Content-Length: 2\r\n\
         X-Last: 2\r\n\r\nok",
    )
    .await;
    assert_eq!(
        seen.names(),
        ["server", "date", "x-middle", "content-length", "x-last"]
    );
    assert_eq!(seen.field("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[tokio::test]
async fn status_reason_and_repeated_headers_reach_the_client() {
    let seen = seen_by_client(
        "HTTP/1.1 299 Rather Odd\r\n\
         Set-Cookie: a=1; Path=/\r\n\
         Set-Cookie: b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(seen.line, "HTTP/1.1 299 Rather Odd");
    assert_eq!(
        seen.all("set-cookie"),
        ["a=1; Path=/", "b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    );
}

#[tokio::test]
async fn bytes_beyond_ascii_reach_the_client() {
    let answer = b"HTTP/1.1 200 OK\r\nX-Obs: caf\xe9 \xff\r\nContent-Length: 0\r\n\r\n";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let seen = sidecar.get("/").await.head;
    assert_eq!(seen.field("x-obs"), Some(latin1(b"caf\xe9 \xff").as_str()));
}
