//! Header rules of a proxy: what stays on this hop, and what the next one is told about the last.

use http::HeaderMap;
use http::header::{self, Entry, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Always of one hop (RFC 9110 section 7.6.1, RFC 7540 section 3.2.1 for the last). `TE` and `Transfer-Encoding` are
/// treated where a direction needs them differently.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::UPGRADE,
    HTTP2_SETTINGS,
];

/// What `Connection` may not take away: without them the next hop sees another request.
const PROTECTED: [HeaderName; 4] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::AUTHORIZATION,
];

/// Makes a request's headers those of the next hop. `Transfer-Encoding` stays: by now it is exactly `chunked`, and the
/// body is sent on chunked.
pub fn for_upstream(headers: &mut HeaderMap, client: &HeaderValue) {
    let trailers = accepts_trailers(headers);
    strip(headers, &[header::TE]);
    if trailers {
        // RFC 9110 section 10.1.4: TE goes with a connection option of its name.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    append_forwarded_for(headers, client);
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Makes a response's headers those of the way back. `Trailer` stays: it says which trailers follow.
pub fn for_client(headers: &mut HeaderMap) {
    strip(headers, &[header::TE, header::TRANSFER_ENCODING]);
}

/// Removes the hop's own headers, `also`, and those that `Connection` names. The others keep their order.
fn strip(headers: &mut HeaderMap, also: &[HeaderName]) {
    if !HOP_BY_HOP
        .iter()
        .chain(also)
        .any(|name| headers.contains_key(name))
    {
        return;
    }
    let named = named_by_connection(headers);
    let goes = |name: &HeaderName| {
        HOP_BY_HOP.contains(name) || also.contains(name) || named.contains(name)
    };
    // Made anew rather than removed from: a removal moves the last header into the gap.
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut last: Option<HeaderName> = None;
    for (name, value) in headers.drain() {
        // A further value of one name comes without it.
        if name.is_some() {
            last = name;
        }
        if let Some(name) = last.as_ref().filter(|name| !goes(name)) {
            kept.append(name.clone(), value);
        }
    }
    *headers = kept;
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &header::CONNECTION)
        .filter(|token| {
            !token.eq_ignore_ascii_case(b"close") && !token.eq_ignore_ascii_case(b"keep-alive")
        })
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !PROTECTED.contains(name))
        .collect()
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// The elements of a comma-separated header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Appends the client to the last `X-Forwarded-For` line, or makes one.
fn append_forwarded_for(headers: &mut HeaderMap, client: &HeaderValue) {
    match headers.entry(X_FORWARDED_FOR) {
        Entry::Vacant(entry) => {
            entry.insert(client.clone());
        }
        Entry::Occupied(mut entry) => {
            if let Some(last) = entry.iter_mut().next_back() {
                let joined = [last.as_bytes(), b", ", client.as_bytes()].concat();
                if let Ok(joined) = HeaderValue::from_bytes(&joined) {
                    *last = joined;
                }
            }
        }
    }
}

/// The seconds of `Keep-Alive: timeout=N`, which many servers send (RFC 2068 section 19.7.1).
pub fn keep_alive_timeout(headers: &HeaderMap) -> Option<u64> {
    tokens(headers, &KEEP_ALIVE).find_map(|parameter| {
        let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests;
