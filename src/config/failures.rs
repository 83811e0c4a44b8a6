//! Which answers count as failures of their pod.

use std::str::FromStr;

use super::grpc_codes::{GrpcCode, GrpcCodes};
use super::statuses::{StatusRange, Statuses};

/// Each where it is given. They take the place of the built-in notion where pods are compared, and make such
/// answers in a row a reason to leave a pod out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub statuses: Option<Statuses>,
    pub codes: Option<GrpcCodes>,
}

/// A list such as `5xx,429`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureStatuses(pub Statuses);

/// A list such as `unavailable,internal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCodes(pub GrpcCodes);

impl FromStr for FailureStatuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut statuses = Statuses::default();
        for word in text.split(',') {
            statuses.add(StatusRange::of_failure(word.trim())?);
        }
        Ok(Self(statuses))
    }
}

impl FromStr for FailureCodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut codes = GrpcCodes::default();
        for word in text.split(',') {
            let code: GrpcCode = word.trim().parse()?;
            codes.add(code.unless_ok()?);
        }
        Ok(Self(codes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_what_it_names() {
        let FailureStatuses(statuses) = "5xx, 429".parse().unwrap();
        let ranges: Vec<String> = statuses.ranges().map(StatusRange::to_string).collect();
        assert_eq!(ranges, ["5xx", "429"]);
        let FailureCodes(codes) = "unavailable,INTERNAL".parse().unwrap();
        let names: Vec<String> = codes.iter().map(|code| code.to_string()).collect();
        assert_eq!(names, ["internal", "unavailable"]);
    }

    #[test]
    fn what_is_not_known_or_no_failure_is_refused_by_name() {
        for (text, said) in [
            ("", "such as 503"),
            ("5xx,", "such as 503"),
            ("unavailable", "such as 503"),
            ("200", "`200` is no failure"),
            ("3xx", "`3xx` is no failure"),
        ] {
            let refused = text.parse::<FailureStatuses>().unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
        for (text, said) in [
            ("", "``"),
            ("internal,503", "`503`"),
            ("ok", "`ok` is no failure"),
        ] {
            let refused = text.parse::<FailureCodes>().unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
