//! Bytes of a request's head -> hyper's reading -> our rules, against a reading of the bytes that is our own.
#![no_main]

use http::header::{self, HeaderValue};
use http::{Method, Version};
use invariants::heads;
use libfuzzer_sys::fuzz_target;
use podrobin::proxy::{headers, request};

fuzz_target!(|bytes: &[u8]| {
    let Some(mut head) = heads::request(bytes) else {
        return;
    };
    let version = head.version;
    let default_host = HeaderValue::from_static("cart.shop");
    if let Err(refusal) = request::check(&mut head, bytes, &default_host) {
        invariants::check_line(refusal.reason);
        return;
    }

    let hosts: Vec<_> = head.headers.get_all(header::HOST).iter().collect();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    let target = head.uri.to_string();
    let asterisk = target == "*" && head.method == Method::OPTIONS;
    assert!(asterisk || target.starts_with('/'), "{target:?}");
    assert!(head.uri.authority().is_none() && head.uri.scheme().is_none());
    assert_ne!(head.method, Method::CONNECT);

    // Where the body ends is said once, and whoever reads the bytes reads the same.
    let raw = heads::raw_fields(bytes);
    let codings = heads::values(&raw, "transfer-encoding");
    let lengths = heads::values(&raw, "content-length");
    let ours: Vec<_> = head
        .headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .collect();
    if codings.is_empty() {
        assert!(!head.headers.contains_key(header::TRANSFER_ENCODING));
        assert_eq!(ours.is_empty(), lengths.is_empty());
        let first = ours
            .first()
            .map(|length| heads::decimal(length.as_bytes()).unwrap());
        assert!(lengths.iter().all(|length| heads::decimal(length) == first));
        assert!(ours.len() <= 1);
    } else {
        assert_eq!(codings.len(), 1);
        assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
        assert!(lengths.is_empty() && ours.is_empty());
        assert_eq!(version, Version::HTTP_11);
    }

    // What has passed passes again as it is.
    let (target, before) = (head.uri.clone(), head.headers.clone());
    assert_eq!(request::check(&mut head, b"", &default_host), Ok(()));
    assert_eq!((head.uri, &head.headers), (target, &before));

    headers::for_upstream(&mut head.headers, &HeaderValue::from_static("10.0.0.9"));
    heads::check_hop(&head.headers);
    for name in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::AUTHORIZATION,
    ] {
        let values = |headers: &http::HeaderMap| {
            let values = headers.get_all(&name).iter().cloned();
            values.collect::<Vec<_>>()
        };
        assert_eq!(values(&head.headers), values(&before), "{name}");
    }
});
