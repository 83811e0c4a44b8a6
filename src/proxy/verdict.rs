//! What an answer says about its pod. Pure.

use http::{HeaderMap, StatusCode};

use super::grpc;
use crate::config::{Failures, GrpcCode, GrpcCodes};
use crate::outlier::Said;

/// By the answer's head, or by its trailers where the head leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The pod could not do what was asked, and another might.
    pub failed: bool,
    /// Why it counts towards the pod's ejection.
    pub against: Option<Said>,
    /// A call's trailers are to tell.
    pub open: bool,
}

impl Verdict {
    /// `ended`: there is no more than the head.
    pub fn of_head(
        failures: &Failures,
        status: StatusCode,
        headers: &HeaderMap,
        is_call: bool,
        ended: bool,
    ) -> Self {
        let by_status = match &failures.statuses {
            Some(statuses) => statuses.contains(status),
            None => status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED,
        };
        // Most answers are no calls, and nobody has named codes: nothing is read for them.
        let code = match is_call {
            true => grpc::code(status, headers),
            false => None,
        };
        let by_code = Self::by_code(failures.codes, code, headers);
        let said = (by_status && failures.statuses.is_some()).then_some(Said::Status(status));
        Self {
            failed: by_status || by_code.failed,
            against: said.or(by_code.against),
            open: is_call && code.is_none() && !ended && !by_status,
        }
    }

    pub fn of_trailers(codes: Option<GrpcCodes>, trailers: &HeaderMap) -> Self {
        Self::by_code(codes, grpc::said(trailers), trailers)
    }

    fn by_code(codes: Option<GrpcCodes>, code: Option<GrpcCode>, headers: &HeaderMap) -> Self {
        let Some(codes) = codes else {
            // A status that is no gRPC is judged as one.
            let said = grpc::said(headers);
            return Self {
                failed: said.is_some_and(|code| GrpcCodes::FAILURES.contains(code)),
                ..Self::default()
            };
        };
        let against = code.filter(|code| codes.contains(*code)).map(Said::Code);
        Self {
            failed: against.is_some(),
            against,
            open: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FailureCodes, FailureStatuses};

    fn failures(statuses: &str, codes: &str) -> Failures {
        Failures {
            statuses: statuses.parse().ok().map(|FailureStatuses(set)| set),
            codes: codes.parse().ok().map(|FailureCodes(set)| set),
        }
    }

    fn code(value: &str) -> HeaderMap {
        let value = (!value.is_empty()).then(|| (grpc::STATUS, value.parse().unwrap()));
        value.into_iter().collect()
    }

    #[test]
    fn a_head_is_judged_by_what_was_named_or_else_by_the_built_in_notion() {
        let unavailable = "unavailable".parse().map(Said::Code).ok();
        let status = |status| StatusCode::from_u16(status).map(Said::Status).ok();
        let rows = [
            // statuses, codes, status, grpc-status, call, failed, against
            ("", "", 200, "", false, false, None),
            ("", "", 503, "", false, true, None),
            ("", "", 501, "", false, false, None),
            ("", "", 429, "", false, false, None),
            ("", "", 200, "14", true, true, None),
            ("", "", 200, "5", true, false, None),
            ("429", "", 429, "", false, true, status(429)),
            ("429", "", 503, "", false, false, None),
            ("5xx", "", 501, "", false, true, status(501)),
            ("", "unavailable", 200, "14", true, true, unavailable),
            ("", "unavailable", 200, "14", false, false, None),
            ("", "unavailable", 200, "13", true, false, None),
            // What a caller takes from a status that is no gRPC.
            ("", "unavailable", 503, "", true, true, unavailable),
            ("", "unavailable", 503, "", false, true, None),
            ("5xx", "unavailable", 503, "", true, true, status(503)),
        ];
        for row @ (statuses, codes, status, said, is_call, failed, against) in rows {
            let failures = failures(statuses, codes);
            let status = StatusCode::from_u16(status).unwrap();
            let found = Verdict::of_head(&failures, status, &code(said), is_call, false);
            assert_eq!((found.failed, found.against), (failed, against), "{row:?}");
        }
    }

    #[test]
    fn only_a_call_whose_head_tells_no_code_is_left_open() {
        let rows = [
            // grpc-status, call, ended, open
            ("", true, false, true),
            ("", true, true, false),
            ("", false, false, false),
            ("0", true, false, false),
        ];
        for row @ (said, is_call, ended, open) in rows {
            let failures = Failures::default();
            let found =
                Verdict::of_head(&failures, StatusCode::OK, &code(said), is_call, ended).open;
            assert_eq!(found, open, "{row:?}");
        }
    }

    #[test]
    fn trailers_are_judged_as_a_head_is() {
        let named = failures("", "aborted").codes;
        for (codes, said, failed, counts) in [
            (None, "14", true, false),
            (None, "10", false, false),
            (None, "", false, false),
            (named, "10", true, true),
            (named, "14", false, false),
            (named, "", false, false),
        ] {
            let found = Verdict::of_trailers(codes, &code(said));
            assert_eq!(
                (found.failed, found.against.is_some(), found.open),
                (failed, counts, false),
                "{said}"
            );
        }
    }
}
