//! Any fields -> those of the next hop, and of the way back. Made of the names that the rules are about, so that they
//! meet.
#![no_main]

use arbitrary::Arbitrary;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use invariants::heads;
use libfuzzer_sys::fuzz_target;
use podrobin::proxy::headers;

const NAMES: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "host",
    "content-length",
    "authorization",
    "trailer",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-a",
    "x-b",
];

const ADDED: [&str; 5] = [
    "te",
    "connection",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

#[derive(Debug, Arbitrary)]
struct Input {
    fields: Vec<(u8, Value)>,
}

#[derive(Debug, Arbitrary)]
enum Value {
    /// Names of fields, as `Connection` has them, in lower or upper case.
    Names(Vec<(u8, bool)>),
    Trailers,
    Bytes(Vec<u8>),
}

fuzz_target!(|input: Input| {
    let mut fields = HeaderMap::new();
    for (name, value) in &input.fields {
        if let Ok(value) = HeaderValue::from_bytes(&text(value)) {
            fields.append(HeaderName::from_static(named(*name)), value);
        }
    }
    to_pod(&fields);
    to_client(&fields);
});

fn to_pod(before: &HeaderMap) {
    let client = HeaderValue::from_static("10.0.0.9");
    let mut after = before.clone();
    headers::for_upstream(&mut after, &client);
    heads::check_hop(&after);

    // What is neither of the hop nor ours stays as it was, in its order.
    let others = |lines: Vec<(String, Vec<u8>)>| -> Vec<_> {
        let other = |(name, _): &(String, Vec<u8>)| !ADDED.contains(&name.as_str());
        lines.into_iter().filter(other).collect()
    };
    let kept = heads::kept(before, true);
    assert_eq!(others(heads::lines(&after)), others(kept.clone()));

    let forwarded = after.get_all("x-forwarded-for").iter();
    let forwarded: Vec<_> = forwarded.map(HeaderValue::as_bytes).collect();
    let mut expected: Vec<Vec<u8>> = kept
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.clone())
        .collect();
    match expected.last_mut() {
        Some(last) => last.extend(b", 10.0.0.9"),
        None => expected.push(b"10.0.0.9".to_vec()),
    }
    assert_eq!(forwarded, expected);
    assert!(after.contains_key("x-forwarded-proto"));
    let has_host = after.contains_key(header::HOST);
    assert!(!has_host || after.contains_key("x-forwarded-host"));

    // The next proxy finds nothing to take away, and adds itself.
    let mut again = after.clone();
    headers::for_upstream(&mut again, &client);
    let last = again.get_all("x-forwarded-for").iter().next_back().unwrap();
    assert!(last.as_bytes().ends_with(b"10.0.0.9, 10.0.0.9"));
    assert_eq!(others(heads::lines(&again)), others(heads::lines(&after)));
    assert_eq!(again.get(header::TE), after.get(header::TE));
}

fn to_client(before: &HeaderMap) {
    let mut after = before.clone();
    headers::for_client(&mut after);
    heads::check_hop(&after);
    assert_eq!(heads::lines(&after), heads::kept(before, false));
    let once = after.clone();
    headers::for_client(&mut after);
    assert_eq!(heads::lines(&after), heads::lines(&once));
}

fn named(name: u8) -> &'static str {
    NAMES[usize::from(name) % NAMES.len()]
}

fn text(value: &Value) -> Vec<u8> {
    match value {
        Value::Names(names) => names
            .iter()
            .map(|(name, upper)| {
                let name = named(*name);
                if *upper {
                    name.to_uppercase()
                } else {
                    name.to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join(", ")
            .into_bytes(),
        Value::Trailers => b"gzip, trailers".to_vec(),
        Value::Bytes(bytes) => bytes.clone(),
    }
}
