//! What a request must be before it is forwarded: the rules that hyper leaves to us.

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version, request};

use super::headers;
use crate::error::Kind;

/// A request that is refused: the row of the error table and a sentence for its sender.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: Kind,
    pub reason: &'static str,
}

/// Checks a request's head and makes its target what a server expects: origin-form (or `*`), with one `Host`.
///
/// `raw_head` are the head's bytes as they came, empty where not known: hyper hides a Content-Length that stands beside a
/// Transfer-Encoding. `default_host` is for HTTP/1.0 clients that name none.
///
/// Sources: RFC 9112 sections 3.2 (Host), 3.2.2 (absolute-form), 6.1 and 6.3 (Transfer-Encoding); RFC 9110 section
/// 10.1.1 (Expect).
pub fn check(
    head: &mut request::Parts,
    raw_head: &[u8],
    default_host: &HeaderValue,
) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return refuse(Kind::MethodNotAllowed, "CONNECT is not supported");
    }
    check_host(head, default_host)?;
    check_target(head)?;
    check_framing(&mut head.headers, raw_head)?;
    check_expect(head)
}

fn check_host(head: &mut request::Parts, default_host: &HeaderValue) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let authority = head
        .uri
        .authority()
        .filter(|_| head.version == Version::HTTP_2);
    match (hosts.next(), hosts.next()) {
        (None, _) if authority.is_some() => Ok(()),
        (Some(host), _)
            if authority.is_some_and(|authority| {
                !host
                    .as_bytes()
                    .eq_ignore_ascii_case(authority.as_str().as_bytes())
            }) =>
        {
            refuse(
                Kind::BadRequest,
                "the request's Host differs from its :authority",
            )
        }
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => refuse(Kind::BadRequest, "the Host header is not a host"),
        (Some(_), Some(_)) => refuse(
            Kind::BadRequest,
            "the request has more than one Host header",
        ),
        (None, _) if head.version == Version::HTTP_10 => {
            head.headers.insert(header::HOST, default_host.clone());
            Ok(())
        }
        (None, _) => refuse(Kind::BadRequest, "the request has no Host header"),
    }
}

/// `uri-host [ ":" port ]` of RFC 9110 section 7.2, by its characters; empty is allowed.
fn is_host(value: &[u8]) -> bool {
    let literal_end = value.iter().rposition(|byte| *byte == b']');
    let (literal, rest) = value.split_at(literal_end.map_or(0, |end| end + 1));
    let colon = rest.iter().position(|byte| *byte == b':');
    let (name, port) = rest.split_at(colon.unwrap_or(rest.len()));
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_named = match literal {
        [] => name.iter().all(is_of_name),
        [b'[', inner @ .., b']'] => {
            name.is_empty() && inner.iter().all(|byte| *byte == b':' || is_of_name(byte))
        }
        _ => false,
    };
    is_named && port.iter().skip(1).all(u8::is_ascii_digit)
}

fn check_target(head: &mut request::Parts) -> Result<(), Refusal> {
    if head.uri.path() == "*" && head.method != Method::OPTIONS {
        return refuse(Kind::BadRequest, "the target * is for OPTIONS alone");
    }
    if head.uri.authority().is_none() {
        return Ok(());
    }
    // Absolute-form, as all of HTTP/2: its authority is the host, whatever the Host header says.
    let authority = head
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .filter(|authority| is_host(authority.as_bytes()))
        .and_then(|authority| HeaderValue::from_str(authority).ok());
    let (Some(scheme), Some(authority)) = (head.uri.scheme_str(), authority) else {
        return refuse(
            Kind::BadRequest,
            "the request's target is not one for a server",
        );
    };
    if !matches!(scheme, "http" | "https") {
        return refuse(
            Kind::BadRequest,
            "the request's target has a scheme other than http",
        );
    }
    head.headers.insert(header::HOST, authority);
    let origin = head
        .uri
        .path_and_query()
        .cloned()
        // Before a fragment, which is dropped, the path may be empty: it reads as "/" here, and is written as nothing.
        .filter(|origin| origin.as_str() != "/")
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(origin);
    Ok(())
}

fn check_framing(headers: &mut HeaderMap, raw_head: &[u8]) -> Result<(), Refusal> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        // Over HTTP/2 it may be there twice; the parser of HTTP/1.1 has seen to it.
        return match headers::settle_length(headers) {
            true => Ok(()),
            false => refuse(Kind::BadRequest, "the request's Content-Length is none"),
        };
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return refuse(
            Kind::UnsupportedCoding,
            "only the transfer coding chunked is supported",
        );
    }
    if headers.contains_key(header::CONTENT_LENGTH) || has_content_length(raw_head) {
        return refuse(
            Kind::BadRequest,
            "the request has both Content-Length and Transfer-Encoding",
        );
    }
    // A server that heeds its letters would see no body here.
    headers.insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
    Ok(())
}

/// Whether a head, as it came, has a Content-Length line.
fn has_content_length(raw_head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    raw_head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        // Clients may send empty lines ahead of the request line (RFC 9112 section 2.2).
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .any(|line| {
            line.split_at_checked(NAME.len())
                .is_some_and(|(name, rest)| {
                    name.eq_ignore_ascii_case(NAME) && rest.starts_with(b":")
                })
        })
}

fn check_expect(head: &mut request::Parts) -> Result<(), Refusal> {
    if !head.headers.contains_key(header::EXPECT) {
        return Ok(());
    }
    if head.version == Version::HTTP_2 {
        // Its body comes as its stream's window lets it, whatever it expects.
        head.headers.remove(header::EXPECT);
        return Ok(());
    }
    if head.version == Version::HTTP_10 {
        // To be ignored; a pod that is spoken to in HTTP/1.1 must not see it.
        head.headers.remove(header::EXPECT);
        return Ok(());
    }
    if head
        .headers
        .get_all(header::EXPECT)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        Ok(())
    } else {
        refuse(
            Kind::ExpectationFailed,
            "the only expectation supported is 100-continue",
        )
    }
}

fn refuse(kind: Kind, reason: &'static str) -> Result<(), Refusal> {
    Err(Refusal { kind, reason })
}

#[cfg(test)]
mod tests;
