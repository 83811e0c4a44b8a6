//! When a request may be sent again. Pure.

use http::{Method, StatusCode};

use crate::config::{GrpcCode, RetryOn};
use crate::error::{Kind, Retry};

/// What an attempt left behind.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    pub kind: Kind,
    /// Not a byte of the request reached the pod.
    pub unsent: bool,
    /// The body can be sent again from its first byte.
    pub replayable: bool,
}

/// Whether the method may be repeated without asking its sender (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// A response's head, as far as it may be a reason to ask another pod.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub status: StatusCode,
    /// What a call's caller takes from it.
    pub code: Option<GrpcCode>,
}

/// Whether a request that brought no response may be sent to another pod, where that is wanted: always if it was never
/// sent, else only if its method is idempotent (RFC 9110 section 9.2.2), and never without its whole body.
pub fn may_retry(on: &RetryOn, failed: Failed, idempotent: bool) -> bool {
    let wanted = match failed {
        // Whoever sets it wants it.
        Failed {
            kind: Kind::TryTimeout,
            ..
        } => true,
        Failed { unsent: true, .. } => on.connect_failure,
        Failed { unsent: false, .. } => on.reset,
    };
    wanted
        && failed.replayable
        && match failed.kind.row().retry {
            Retry::AnyMethod => true,
            Retry::Idempotent => failed.unsent || idempotent,
            Retry::No => false,
        }
}

/// Whether a request that was answered so is better asked of another pod: a status says so only where the method is
/// idempotent. A call is a POST, but whoever names a code knows what their servers mean by it.
pub fn may_retry_answered(on: &RetryOn, told: Told, idempotent: bool) -> bool {
    let by_status = idempotent && on.statuses.contains(told.status);
    by_status || told.code.is_some_and(|code| on.codes.contains(code))
}

/// Whether a request may come back from a pod that has seen it, so that its head and body are worth keeping.
pub fn may_return(on: &RetryOn, idempotent: bool, is_call: bool) -> bool {
    idempotent || (is_call && !on.codes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_may_have_been_processed_is_repeated_only_if_its_method_allows() {
        let rows = [
            // kind, unsent, replayable, idempotent, may
            (Kind::ConnectFailed, true, true, false, true),
            (Kind::ConnectTimeout, true, true, false, true),
            (Kind::ConnectFailed, true, false, true, false),
            (Kind::Reset, true, true, false, true),
            (Kind::Reset, false, true, false, false),
            (Kind::Reset, false, true, true, true),
            (Kind::Reset, false, false, true, false),
            (Kind::TryTimeout, false, true, false, false),
            (Kind::TryTimeout, false, true, true, true),
            (Kind::TryTimeout, false, false, true, false),
            (Kind::ResponseTimeout, false, true, true, false),
            (Kind::BrokenProtocol, false, true, true, false),
            (Kind::ClientGone, false, true, true, false),
        ];
        for (kind, unsent, replayable, idempotent, may) in rows {
            let failed = Failed {
                kind,
                unsent,
                replayable,
            };
            let on = RetryOn::default();
            assert_eq!(
                may_retry(&on, failed, idempotent),
                may,
                "{failed:?} {idempotent}"
            );
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_repeated() {
        for (list, unsent, may) in [
            ("connect-failure", true, true),
            ("connect-failure", false, false),
            ("reset", true, false),
            ("reset", false, true),
            ("503,unavailable", true, false),
            ("503,unavailable", false, false),
        ] {
            let failed = Failed {
                kind: Kind::Reset,
                unsent,
                replayable: true,
            };
            let on: RetryOn = list.parse().unwrap();
            assert_eq!(may_retry(&on, failed, true), may, "{list} {unsent}");
        }
    }

    #[test]
    fn a_status_is_repeated_for_idempotent_methods_alone_and_a_code_for_calls() {
        let on: RetryOn = "5xx,unavailable".parse().unwrap();
        for (status, code, idempotent, may) in [
            (503, None, true, true),
            (503, None, false, false),
            (429, None, true, false),
            (200, Some("unavailable"), false, true),
            (200, Some("internal"), false, false),
            (200, Some("ok"), false, false),
            (503, Some("unavailable"), false, true),
            (500, Some("unknown"), false, false),
        ] {
            let told = Told {
                status: StatusCode::from_u16(status).unwrap(),
                code: code.map(|code| code.parse().unwrap()),
            };
            assert_eq!(may_retry_answered(&on, told, idempotent), may, "{told:?}");
            let off = RetryOn::default();
            assert!(!may_retry_answered(&off, told, idempotent), "{told:?}");
        }
    }

    #[test]
    fn idempotent_methods_are_those_of_rfc_9110() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(is_idempotent(&method.parse().unwrap()), "{method}");
        }
        for method in ["POST", "PATCH", "LOCK", "get"] {
            assert!(!is_idempotent(&method.parse().unwrap()), "{method}");
        }
    }
}
