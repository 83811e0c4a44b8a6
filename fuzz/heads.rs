//! Heads of HTTP/1 as hyper reads them, and what holds of them once our rules have passed.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version, request};

/// hyper's own limit.
const MOST_HEADERS: usize = 100;

const HOP_BY_HOP: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "http2-settings",
];

/// A request's head as hyper's server hands it on, or `None` where it refuses: hyper 1.12, `proto/h1/role.rs`.
pub fn request(bytes: &[u8]) -> Option<request::Parts> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    if parsed.parse(bytes).ok()?.is_partial() {
        return None;
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    head.uri = Uri::try_from(parsed.path?).ok()?;
    head.version = match parsed.version? {
        1 => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    let (mut length, mut saw_length, mut coded, mut chunked) = (None, false, false, false);
    for (name, value) in fields_of(parsed.headers)? {
        if name == header::TRANSFER_ENCODING {
            if head.version == Version::HTTP_10 {
                return None;
            }
            coded = true;
            if saw_length && length.take().is_some() {
                head.headers.remove(header::CONTENT_LENGTH);
            }
            let text = value.to_str().unwrap_or_default();
            let last = text.rsplit(',').next().unwrap_or_default();
            chunked = last.trim().eq_ignore_ascii_case("chunked");
        } else if name == header::CONTENT_LENGTH {
            saw_length = true;
            if coded {
                continue;
            }
            let said = decimal(value.as_bytes())?;
            if length.is_some_and(|length| length != said) {
                return None;
            }
            if length.replace(said).is_some() {
                continue;
            }
        }
        head.headers.append(name, value);
    }
    (!coded || chunked).then_some(head)
}

/// The fields of a response's head.
pub fn response(bytes: &[u8]) -> Option<HeaderMap> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut fields);
    if parsed.parse(bytes).ok()?.is_partial() {
        return None;
    }
    Some(fields_of(parsed.headers)?.into_iter().collect())
}

fn fields_of(fields: &[httparse::Header<'_>]) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let field = |field: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    fields.iter().map(field).collect()
}

/// Digits alone: no sign, no space, no list.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The fields of a head by a reading of its bytes that shares nothing with the parser: lines end with LF, with or
/// without a CR before it, up to the first empty one.
pub fn raw_fields(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .skip_while(|line| line.is_empty())
        .skip(1)
        .take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            assert!(!line.contains(&b'\r') && !line.contains(&0), "{line:?}");
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap();
            assert!(!name.contains(char::is_whitespace), "{name:?}");
            (name, line[colon + 1..].trim_ascii().to_vec())
        })
        .collect()
}

pub fn values<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|(field, _)| field == name);
    named.map(|(_, value)| value.as_slice()).collect()
}

/// Nothing of one hop is left, but for our own word that trailers are welcome.
pub fn check_hop(headers: &HeaderMap) {
    for name in HOP_BY_HOP {
        let own = name == "connection" && headers.contains_key(header::TE);
        if own {
            let connection: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(connection, ["te"]);
        } else {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
    let te: Vec<_> = headers.get_all(header::TE).iter().collect();
    assert!(te.is_empty() || te == ["trailers"], "{te:?}");
}

/// What should be left of `headers`, by a slow and plain reading of the rules, in this order. `framed` keeps what
/// frames the body.
pub fn kept(headers: &HeaderMap, framed: bool) -> Vec<(String, Vec<u8>)> {
    let mut named: Vec<Vec<u8>> = Vec::new();
    for value in headers.get_all("connection") {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            named.push(token.trim_ascii().to_ascii_lowercase());
        }
    }
    let protected = [
        "host",
        "content-length",
        "transfer-encoding",
        "authorization",
        "cookie",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    ];
    let coded = headers.contains_key("transfer-encoding");
    let stays = |name: &str| {
        if HOP_BY_HOP.contains(&name) || name == "te" {
            return false;
        }
        if !framed && coded && matches!(name, "content-length" | "transfer-encoding") {
            return false;
        }
        protected.contains(&name) || !named.iter().any(|named| named == name.as_bytes())
    };
    headers
        .iter()
        .filter(|(name, _)| stays(name.as_str()))
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

pub fn lines(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    headers.iter().map(line).collect()
}
