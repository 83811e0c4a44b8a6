//! What gRPC asks of a proxy beyond HTTP/2: its deadline, and errors in its own shape.
//!
//! Source: the gRPC protocol over HTTP/2 (PROTOCOL-HTTP2.md of the gRPC project).

use std::fmt::Write;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use crate::config::GrpcCode;

pub const STATUS: HeaderName = GrpcCode::FIELD;
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Whether a request is a call: over HTTP/2, with `application/grpc` or a variety of it. (`application/grpc-web` is
/// another protocol, and plain HTTP to a proxy.)
pub fn is_call(version: Version, headers: &HeaderMap) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    version == Version::HTTP_2
        && headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.as_bytes().split_at_checked(TYPE.len()))
            .is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';'))
            })
}

/// How long the caller waits: `grpc-timeout`, at most eight digits and a unit. One that is malformed says nothing.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// What a head or trailers say in so many words.
pub fn said(headers: &HeaderMap) -> Option<GrpcCode> {
    let value = headers.get(STATUS)?;
    Some(GrpcCode::from_header(value.as_bytes()))
}

/// The code of a call's response, as its caller takes it from the head: `grpc-status` where the head is all there is,
/// or what an HTTP status stands for that is no gRPC (gRPC's http-grpc-status-mapping.md). `None` where trailers are to
/// tell.
pub fn code(status: StatusCode, headers: &HeaderMap) -> Option<GrpcCode> {
    if let Some(said) = said(headers) {
        return Some(said);
    }
    Some(match status.as_u16() {
        200 => return None,
        400 => GrpcCode::INTERNAL,
        401 => GrpcCode::UNAUTHENTICATED,
        403 => GrpcCode::PERMISSION_DENIED,
        404 => GrpcCode::UNIMPLEMENTED,
        429 | 502 | 503 | 504 => GrpcCode::UNAVAILABLE,
        _ => GrpcCode::UNKNOWN,
    })
}

/// Tells the next pod of one more attempt before it, beside those that the caller made (gRFC A6).
pub fn count_attempt(headers: &mut HeaderMap) {
    let before = headers.get(PREVIOUS_ATTEMPTS);
    let before = before.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let attempts = before.unwrap_or(0).saturating_add(1);
    headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(attempts));
}

/// A text as `grpc-message` carries it: what is not printable ASCII, and `%` itself, as `%XX`.
pub fn message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_call_is_told_by_its_version_and_content_type() {
        let is = |version, value| is_call(version, &headers("content-type", value));
        for value in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC;a=b",
        ] {
            assert!(is(Version::HTTP_2, value), "{value}");
            assert!(!is(Version::HTTP_11, value), "{value}");
        }
        for value in [
            "application/grpc-web",
            "application/grpcx",
            "application/json",
            "application/grp",
        ] {
            assert!(!is(Version::HTTP_2, value), "{value}");
        }
        assert!(!is_call(Version::HTTP_2, &HeaderMap::new()));
    }

    #[test]
    fn the_deadline_is_read_in_each_unit_and_nothing_malformed_is() {
        let read = |value: &str| timeout(&headers("grpc-timeout", value));
        let rows = [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("4S", 4_000_000_000),
            ("5m", 5_000_000),
            ("6u", 6_000),
            ("99999999n", 99_999_999),
            ("0S", 0),
        ];
        for (value, nanos) in rows {
            assert_eq!(read(value), Some(Duration::from_nanos(nanos)), "{value}");
        }
        for value in [
            "",
            "S",
            "1",
            "1s",
            "123456789S",
            "-1S",
            "1.5S",
            "+1S",
            "1 S",
            "1S ",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_code_is_read_from_the_head_or_stands_for_its_status() {
        let of = |status: u16, headers: &HeaderMap| {
            let code = code(StatusCode::from_u16(status).unwrap(), headers);
            code.map(|code| code.to_string())
        };
        let said = headers("grpc-status", "8");
        assert_eq!(of(200, &said).as_deref(), Some("resource-exhausted"));
        assert_eq!(of(503, &said).as_deref(), Some("resource-exhausted"));
        let silent = HeaderMap::new();
        assert_eq!(of(200, &silent), None);
        for (status, name) in [
            (400, "internal"),
            (401, "unauthenticated"),
            (403, "permission-denied"),
            (404, "unimplemented"),
            (429, "unavailable"),
            (504, "unavailable"),
            (500, "unknown"),
        ] {
            assert_eq!(of(status, &silent).as_deref(), Some(name), "{status}");
        }
    }

    #[test]
    fn attempts_before_add_up_with_those_of_the_caller() {
        for (said, told) in [
            ("", "1"),
            ("2", "3"),
            ("x", "1"),
            ("4294967295", "4294967295"),
        ] {
            let mut headers = headers("grpc-previous-rpc-attempts", said);
            count_attempt(&mut headers);
            assert_eq!(
                headers.get("grpc-previous-rpc-attempts").unwrap(),
                told,
                "{said}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_message_is_a_header_that_decodes_to_itself(text in any::<String>()) {
            let value = message(&text);
            let mut bytes = value.as_bytes().iter().copied();
            let mut decoded = Vec::new();
            while let Some(byte) = bytes.next() {
                prop_assert!((b' '..=b'~').contains(&byte));
                if byte == b'%' {
                    let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                    decoded.push(u8::from_str_radix(&hex, 16).unwrap());
                } else {
                    decoded.push(byte);
                }
            }
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), text);
        }
    }
}
