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

/// What `Connection` may not take away: without them the next hop sees another request, or one of somebody else. A proxy
/// before this one may have set some of them and passed the client's `Connection` on (CVE-2022-31813).
const PROTECTED: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
];

/// What is of no use, or of harm, once the body has begun (RFC 9110 section 6.5.1): framing, routing, controls,
/// credentials, the body's format.
const NO_TRAILERS: [HeaderName; 19] = [
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    header::PROXY_AUTHENTICATE,
    header::COOKIE,
    header::SET_COOKIE,
    header::CACHE_CONTROL,
    header::EXPECT,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::RANGE,
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

/// Makes an HTTP/2 request's headers those of the same request over HTTP/1.1: with the framing that a body without a
/// length needs, and with its cookies in one field (RFC 9113 section 8.2.3).
pub fn from_http2(headers: &mut HeaderMap, has_no_body: bool) {
    if !has_no_body && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// A request's headers for a pod over HTTP/2: without those that belong to an HTTP/1.1 connection (RFC 9113 section
/// 8.2.2), and without Host, which is `:authority` there. No expectation either: the stream's window is what holds a
/// body back.
pub fn for_http2(headers: &HeaderMap) -> HeaderMap {
    let stays = |name: &HeaderName| {
        *name != header::HOST
            && *name != header::CONNECTION
            && *name != header::UPGRADE
            && *name != header::TRANSFER_ENCODING
            && *name != header::EXPECT
    };
    headers
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Makes a response's headers those of the way back. `Trailer` stays: it says which trailers follow.
///
/// A `Content-Length` beside a `Transfer-Encoding` goes: the chunks have told where the body ends (RFC 9112 section
/// 6.3).
pub fn for_client(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let goes = [
            header::TE,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
        ];
        strip(headers, &goes);
    } else {
        strip(headers, &[header::TE]);
    }
}

/// Takes out of trailers what must not come so late, in either direction.
pub fn for_trailers(trailers: &mut HeaderMap) {
    for name in HOP_BY_HOP.iter().chain(&NO_TRAILERS) {
        trailers.remove(name);
    }
}

/// Makes one `Content-Length` of several that are equal (RFC 9110 section 8.6). `false` where it can't be read, or they
/// differ.
pub fn settle_length(headers: &mut HeaderMap) -> bool {
    let mut lengths = tokens(headers, &header::CONTENT_LENGTH);
    let Some(first) = lengths.next() else {
        return true;
    };
    let mut is_repeated = false;
    let is_settled = !first.is_empty()
        && first.iter().all(u8::is_ascii_digit)
        && lengths.all(|other| {
            is_repeated = true;
            other == first
        });
    if !(is_settled && is_repeated) {
        return is_settled;
    }
    let Ok(only) = HeaderValue::from_bytes(first) else {
        return false;
    };
    drop(lengths);
    headers.insert(header::CONTENT_LENGTH, only);
    true
}

/// Whether a response's body is as it was meant, once its chunks are undone. We ask for no transfer coding, and one
/// that a pod applies all the same would be passed on without its name (RFC 9112 section 6.1).
pub fn is_plainly_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
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
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
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
