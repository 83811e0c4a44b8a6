//! What a request and its response look like on the other side, whichever version that speaks.

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;

use crate::support::client::post;
use crate::support::http2::{self, Exchange};
use crate::support::{Pod, Sidecar, Slices, manners, slices::Entry};

/// Both clients over a pod of each version.
#[tokio::test]
async fn requests_bodies_and_answers_pass_between_all_versions() {
    for http2_pod in [false, true] {
        let (pod, slices) = if http2_pod {
            let pod = Pod::scripted("a", http2::answer_all).await;
            let slices = Slices::of([Entry::from(&pod).speaking("kubernetes.io/h2c")]);
            (pod, slices)
        } else {
            let pod = Pod::start("a").await;
            let slices = Slices::of([Entry::from(&pod)]);
            (pod, slices)
        };
        let sidecar = Sidecar::watching(&slices).start().await;
        let body = vec![b'x'; 300_000];

        let mut client = sidecar.client().await;
        let got = client.get("/1?q=%20").await;
        assert_eq!(
            (got.status(), got.text().as_str(), got.pod()),
            (200, "a", "a")
        );
        let posted = client.ask(post("/2", &body)).await;
        assert_eq!((posted.status(), posted.text().as_str()), (200, "a"));

        let client = sidecar.http2().await;
        let got = client.get("/3?q=%20").await;
        assert_eq!(
            (got.status, &got.body[..], got.pod()),
            (200, &b"a"[..], "a")
        );
        assert_eq!(client.post("/4", &body).await.status, 200);

        let record = pod.record();
        let seen: Vec<(String, usize)> = if http2_pod {
            let calls = record.calls.iter();
            calls
                .map(|call| (call.uri.to_string(), call.body.len()))
                .collect()
        } else {
            let requests = record.requests.iter();
            requests
                .map(|request| {
                    let host = request.field("host").unwrap();
                    (
                        format!("http://{host}{}", request.head.target()),
                        request.body.len(),
                    )
                })
                .collect()
        };
        let expected = [
            ("http://shop/1?q=%20", 0),
            ("http://shop/2", 300_000),
            ("http://shop/3?q=%20", 0),
            ("http://shop/4", 300_000),
        ];
        assert_eq!(seen, expected.map(|(uri, length)| (uri.to_owned(), length)));
    }
}

#[tokio::test]
async fn a_request_keeps_its_fields_and_loses_those_of_the_other_version() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut request = http2::request("GET", "/");
    let headers = request.headers_mut();
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    headers.append("x-many", "1".parse().unwrap());
    headers.append("x-many", "2".parse().unwrap());
    headers.append("te", "trailers".parse().unwrap());
    sidecar
        .http2()
        .await
        .open(request, true)
        .await
        .unwrap()
        .answer()
        .await
        .unwrap();
    let seen = pod.only_request();
    assert_eq!(seen.head.line, "GET / HTTP/1.1");
    assert_eq!(seen.head.all("host"), ["shop"]);
    assert_eq!(seen.head.all("cookie"), ["a=1; b=2"]);
    assert_eq!(seen.head.all("x-many"), ["1", "2"]);
    assert_eq!(seen.head.all("te"), ["trailers"]);
    assert_eq!(seen.head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.head.all("x-forwarded-host"), ["shop"]);
    assert_eq!(seen.head.all("content-length"), [""; 0]);
    assert_eq!(seen.head.all("transfer-encoding"), [""; 0]);
}

#[tokio::test]
async fn a_request_to_an_http2_pod_loses_what_belongs_to_an_http1_connection() {
    let pod = Pod::scripted("a", http2::answer_all).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let request = "POST / HTTP/1.1\r\nHost: shop\r\nConnection: x-hop, te\r\nX-Hop: 1\r\nTE: trailers\r\n\
                   Transfer-Encoding: chunked\r\nKeep-Alive: 1\r\nX-Kept: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = sidecar.client().await.ask(request).await;
    assert_eq!((answer.status(), answer.pod()), (200, "a"));
    let seen = pod.only_call();
    assert_eq!(seen.uri, "http://shop/");
    assert_eq!(seen.body, b"abc");
    let names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    let expected = [
        "te",
        "x-kept",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    ];
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    assert_eq!(names, sorted(expected.to_vec()));
}

async fn trailing(mut exchange: Exchange) -> Result<(), h2::Error> {
    exchange.read().await?;
    let mut response = exchange.ok();
    response
        .headers_mut()
        .insert("trailer", "x-end".parse().unwrap());
    let mut body = exchange.respond.send_response(response, false)?;
    body.send_data(Bytes::from_static(b"x"), false)?;
    let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), "down".parse().unwrap())]);
    body.send_trailers(trailers)
}

const TRAILING: &str = "HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-end: down\r\n\r\n";

#[tokio::test]
async fn trailers_pass_both_ways_between_all_versions() {
    for http2_pod in [false, true] {
        let (pod, sidecar) = if http2_pod {
            let pod = Pod::scripted("a", http2::script(trailing)).await;
            let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
            (pod, sidecar)
        } else {
            let pod = Pod::scripted("a", manners::say(TRAILING)).await;
            let sidecar = Sidecar::over([&pod]).start().await;
            (pod, sidecar)
        };
        let client = sidecar.http2().await;
        let mut call = client.open(http2::call("/"), false).await.unwrap();
        call.upload
            .send_data(Bytes::from_static(b"abc"), false)
            .unwrap();
        let up = HeaderMap::from_iter([("x-sum".parse().unwrap(), "up".parse().unwrap())]);
        call.upload.send_trailers(up).unwrap();
        let answer = call.answer().await.unwrap();
        assert_eq!(answer.body, b"x");
        assert_eq!(answer.trailers["x-end"], "down", "HTTP/2 pod: {http2_pod}");
        if http2_pod {
            let seen = pod.only_call();
            assert_eq!(
                (&seen.body[..], &seen.trailers["x-sum"]),
                (&b"abc"[..], &"up".parse().unwrap())
            );
        } else {
            let seen = pod.only_request();
            assert_eq!(seen.body, b"abc");
        }
    }
}

/// Some clients reset a stream with "no error" when they give up in the middle of a body.
#[tokio::test]
async fn an_upload_that_is_given_up_is_never_whole_for_the_pod() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let pod = Pod::start("a").await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let client = sidecar.http2().await;
        let mut call = client.open(http2::post("/"), false).await.unwrap();
        call.upload
            .send_data(Bytes::from_static(b"half"), false)
            .unwrap();
        pod.until("the head", |record| record.heads.len() == 1)
            .await;
        call.upload.send_reset(reason);
        pod.until("the end of its connection", |record| record.open == 0)
            .await;
        assert_eq!(pod.record().requests.len(), 0, "{reason:?}");
    }
}

#[tokio::test]
async fn an_error_of_ours_has_no_body_for_head() {
    let pod = Pod::refusing("a");
    let sidecar = Sidecar::over([&pod]).start().await;
    let head = http2::request("HEAD", "/");
    let call = sidecar.http2().await.open(head, true).await.unwrap();
    let answer = call.answer().await.unwrap();
    assert_eq!((answer.status, answer.flag()), (502, Some("UF")));
    assert!(answer.body.is_empty());
    let length: usize = answer.field("content-length").unwrap().parse().unwrap();
    assert!(length > 0);
}

#[tokio::test]
async fn a_response_with_trailers_is_counted_as_whole() {
    let pod = Pod::scripted("a", manners::say(TRAILING)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    sidecar.get("/").await;
    sidecar.http2().await.get("/").await;
    for (flag, count) in [("flag=\"-\"", 2.0), ("flag=\"DC\"", 0.0)] {
        let counted = sidecar.metric("podrobin_requests_total", &[flag]).await;
        assert_eq!(counted, count, "{flag}");
    }
}

#[tokio::test]
async fn what_http2_may_say_in_pieces_reaches_a_pod_in_one() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut request = http2::post("/");
    let headers = request.headers_mut();
    headers.append("content-length", "3".parse().unwrap());
    headers.append("content-length", "3".parse().unwrap());
    // More than a request may have of fields.
    for number in 0..150 {
        headers.append("cookie", format!("c{number}=1").parse().unwrap());
    }
    assert_eq!(sidecar.http2().await.send(request, b"abc").await.pod(), "a");
    let seen = pod.only_request();
    assert_eq!(seen.head.all("content-length"), ["3"]);
    assert_eq!(seen.head.all("cookie").len(), 1);
    assert_eq!(seen.head.field("cookie").unwrap().split("; ").count(), 150);
}

#[tokio::test]
async fn trailers_pass_between_a_client_of_http1_and_a_pod_of_http2() {
    let pod = Pod::scripted("a", http2::script(trailing)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let request = "POST / HTTP/1.1\r\nHost: shop\r\nConnection: te\r\nTE: trailers\r\nTrailer: x-sum, host\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: up\r\nhost: evil\r\n\r\n";
    let answer = sidecar.client().await.ask(request).await;
    assert_eq!(answer.text(), "x");
    assert_eq!(answer.trailers, [("x-end".to_owned(), "down".to_owned())]);
    let seen = pod.only_call();
    assert_eq!(seen.body, b"abc");
    assert_eq!(seen.trailers["x-sum"], "up");
    assert_eq!(seen.trailers.len(), 1, "what must not come so late is gone");
}
