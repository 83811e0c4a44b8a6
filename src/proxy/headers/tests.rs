use super::*;
use proptest::prelude::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn client() -> HeaderValue {
    HeaderValue::from_static("10.0.0.9")
}

#[test]
fn a_request_loses_what_is_of_its_hop_and_keeps_the_rest_in_order() {
    let mut headers = map(&[
        ("host", "a"),
        ("keep-alive", "timeout=5"),
        ("b", "1"),
        ("connection", "X-Gone, keep-alive, close"),
        ("proxy-connection", "keep-alive"),
        ("x-gone", "x"),
        ("cookie", "c=1"),
        ("te", "gzip"),
        ("upgrade", "websocket"),
        ("http2-settings", "AAA"),
        ("b", "2"),
        ("z", "3"),
    ]);
    for_upstream(&mut headers, &client());
    let expected = [
        ("host", "a"),
        ("b", "1"),
        ("b", "2"),
        ("cookie", "c=1"),
        ("z", "3"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a"),
    ];
    assert_eq!(lines(&headers), lines(&map(&expected)));
}

#[test]
fn connection_cannot_take_away_what_frames_or_authorizes_a_request() {
    let mut headers = map(&[
        ("host", "a"),
        ("content-length", "3"),
        ("authorization", "x"),
        ("transfer-encoding", "chunked"),
        (
            "connection",
            "host, content-length, Transfer-Encoding, authorization",
        ),
    ]);
    for_upstream(&mut headers, &client());
    for name in [
        "host",
        "content-length",
        "authorization",
        "transfer-encoding",
    ] {
        assert!(headers.contains_key(name), "{name}");
    }
}

#[test]
fn connection_cannot_hide_who_forwarded_what() {
    let told = [
        ("cookie", "a=1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer"),
    ];
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    let named = names.join(",");
    let mut headers = map(&told);
    headers.insert(header::CONNECTION, named.parse().unwrap());
    for_upstream(&mut headers, &client());
    for (name, value) in told {
        let kept = headers[name].to_str().unwrap();
        assert!(kept.starts_with(value), "{name}: {kept}");
    }
}

#[test]
fn trailers_keep_what_may_come_late_alone() {
    let mut trailers = map(&[
        ("grpc-status", "0"),
        ("connection", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("x-sum", "1"),
        ("content-length", "3"),
        ("host", "other"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("grpc-message", "ok"),
    ]);
    for_trailers(&mut trailers);
    let mut kept: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["grpc-message", "grpc-status", "x-sum"]);
}

#[test]
fn lengths_that_agree_become_one() {
    for (told, settled) in [
        (&[][..], Some(None)),
        (&["3"], Some(Some("3"))),
        (&["3", "3"], Some(Some("3"))),
        (&["3, 3", "3"], Some(Some("3"))),
        (&["3 ,\t3"], Some(Some("3"))),
        (&["3, 4"], None),
        (&["3", "4"], None),
        (&["3,"], None),
        (&["03, 3"], None),
        (&[""], None),
        (&["+3"], None),
        (&["+3, +3"], None),
    ] {
        let lengths: Vec<_> = told.iter().map(|told| ("content-length", *told)).collect();
        let mut headers = map(&lengths);
        let found = settle_length(&mut headers).then(|| lines(&headers));
        let expected = settled.map(|settled| {
            let only = settled.map(|length| ("content-length", length));
            lines(&map(only.as_slice()))
        });
        assert_eq!(found, expected, "{told:?}");
    }
}

#[test]
fn te_passes_as_trailers_alone() {
    let mut headers = map(&[
        ("host", "a"),
        ("te", "gzip;q=0.5, Trailers"),
        ("connection", "te"),
    ]);
    for_upstream(&mut headers, &client());
    assert_eq!(headers[header::TE], "trailers");
    assert_eq!(headers[header::CONNECTION], "te");
}

#[test]
fn forwarded_headers_are_appended_or_left_as_they_are() {
    let mut headers = map(&[
        ("host", "a"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2, 3.3.3.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer"),
    ]);
    for_upstream(&mut headers, &client());
    let forwarded: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    assert_eq!(forwarded, ["1.1.1.1", "2.2.2.2, 3.3.3.3, 10.0.0.9"]);
    assert_eq!(headers[X_FORWARDED_PROTO], "https");
    assert_eq!(headers[X_FORWARDED_HOST], "outer");
}

#[test]
fn a_response_loses_what_is_of_its_hop_and_keeps_trailer() {
    let mut headers = map(&[
        ("transfer-encoding", "chunked"),
        ("trailer", "x-sum"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("keep-alive", "timeout=5"),
    ]);
    for_client(&mut headers);
    let expected = [
        ("trailer", "x-sum"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ];
    assert_eq!(lines(&headers), lines(&map(&expected)));
}

#[test]
fn the_timeout_of_keep_alive_is_read() {
    for (value, seconds) in [
        ("timeout=5", Some(5)),
        ("max=100, Timeout = 7", Some(7)),
        ("timeout=x", None),
        ("timeout=-1", None),
        ("max=3", None),
    ] {
        assert_eq!(
            keep_alive_timeout(&map(&[("keep-alive", value)])),
            seconds,
            "{value}"
        );
    }
}

proptest! {
    /// Whatever Connection names, no end-to-end header it does not name is lost, and none of the hop's passes.
    #[test]
    fn only_the_hop_and_the_named_are_stripped(
        names in prop::collection::vec("[a-z]{1,6}|connection|keep-alive|te|upgrade|host", 0..12),
        named in prop::collection::vec("[a-z]{1,6}|host|content-length", 0..4),
    ) {
        let mut headers = HeaderMap::new();
        for name in &names {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("close"));
        }
        headers.append(header::CONNECTION, named.join(",").parse().unwrap());
        let before = headers.clone();
        for_client(&mut headers);
        let hop = ["connection", "keep-alive", "te", "upgrade"];
        for name in before.keys() {
            let goes = hop.contains(&name.as_str())
                || (named.contains(&name.to_string()) && !PROTECTED.contains(name));
            prop_assert_eq!(!goes, headers.contains_key(name));
            if !goes {
                prop_assert_eq!(before.get_all(name).iter().count(), headers.get_all(name).iter().count());
            }
        }
    }
}
