//! When a request is sent again, and how much of that is affordable.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::grpc_codes::{GrpcCode, GrpcCodes};
use super::statuses::{StatusRange, Statuses};
use super::{Hedge, Span};

#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// Further attempts after the first.
    pub retries: u32,
    /// After what.
    pub on: RetryOn,
    /// How long one attempt may take until the response's head.
    pub per_try: Option<Duration>,
    /// The wait before a request goes out again that a pod may have seen; none without.
    pub backoff: Option<RetryBackoff>,
    /// When a second attempt goes out beside one that is silent.
    pub hedge: Option<Hedge>,
    /// Retries as a share of requests over ten seconds.
    pub budget_ratio: f64,
    /// Retries a second that are allowed whatever the traffic.
    pub budget_floor: u32,
}

/// What is followed by another attempt, where the request may be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No pod has looked at the request.
    pub connect_failure: bool,
    /// The pod may have seen it, and ended the exchange before the response's head.
    pub reset: bool,
    pub statuses: Statuses,
    pub codes: GrpcCodes,
}

/// `BASE[..MOST]`: up to the base before the first retry, each time up to twice as long, and never longer than the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBackoff {
    pub base: Duration,
    pub most: Duration,
}

/// How many times the base the most is, where it is not given; as Envoy has it.
const USUAL_GROWTH: u32 = 10;

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            retries: 2,
            on: RetryOn::default(),
            per_try: None,
            backoff: None,
            hedge: None,
            budget_ratio: 0.2,
            budget_floor: 3,
        }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            connect_failure: true,
            reset: true,
            statuses: Statuses::default(),
            codes: GrpcCodes::default(),
        }
    }
}

impl RetryOn {
    fn nothing() -> Self {
        Self {
            connect_failure: false,
            reset: false,
            ..Self::default()
        }
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        match word {
            "connect-failure" => self.connect_failure = true,
            "reset" => self.reset = true,
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => {
                self.statuses.add(StatusRange::of_failure(word)?);
            }
            _ => {
                let unknown = |_| {
                    format!(
                        "`{word}` is none of connect-failure, reset, a status (503, 5xx) and a gRPC code (unavailable)"
                    )
                };
                let code: GrpcCode = word.parse().map_err(unknown)?;
                self.codes.add(code.unless_ok()?);
            }
        }
        Ok(())
    }
}

impl FromStr for RetryOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut on = Self::nothing();
        for word in text.split(',') {
            on.add(word.trim())?;
        }
        Ok(on)
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.connect_failure, "connect-failure"),
            (self.reset, "reset"),
        ];
        let words = words
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, word)| (*word).to_owned());
        let statuses = self.statuses.ranges().map(StatusRange::to_string);
        let codes = self.codes.iter().map(|code| code.to_string());
        let all: Vec<String> = words.chain(statuses).chain(codes).collect();
        f.write_str(&all.join(","))
    }
}

impl FromStr for RetryBackoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (base, most) = match text.split_once("..") {
            Some((base, most)) => (base, Some(most)),
            None => (text, None),
        };
        let Span(base) = base.parse()?;
        let most = match most {
            Some(most) => most.parse::<Span>()?.0,
            None => base.saturating_mul(USUAL_GROWTH),
        };
        if base.is_zero() {
            return Err("must be longer than 0; without it nothing is waited for".to_owned());
        }
        if most < base {
            return Err(format!(
                "{} is less than {}: give the shorter time first, such as 25ms..250ms",
                Span(most),
                Span(base)
            ));
        }
        Ok(Self { base, most })
    }
}

impl fmt::Display for RetryBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", Span(self.base), Span(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_says_what_is_sent_again_and_nothing_else_is() {
        let on: RetryOn = "reset, 5xx,429,unavailable".parse().unwrap();
        assert!(!on.connect_failure && on.reset);
        assert_eq!(on.to_string(), "reset,5xx,429,unavailable");
        assert_eq!(RetryOn::default().to_string(), "connect-failure,reset");
    }

    #[test]
    fn what_is_not_known_or_no_failure_is_refused_by_name() {
        for (text, word) in [
            ("", "``"),
            ("reset,", "``"),
            ("5xx,resets", "`resets`"),
            ("200", "`200`"),
            ("3xx", "`3xx`"),
            ("ok", "`ok`"),
            ("700", "such as 503"),
        ] {
            let refused = text.parse::<RetryOn>().unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn a_backoff_has_its_ends_in_order() {
        let millis = Duration::from_millis;
        for (text, base, most) in [
            ("25ms", 25, 250),
            ("25ms..1s", 25, 1000),
            ("1s..1s", 1000, 1000),
        ] {
            let backoff: RetryBackoff = text.parse().unwrap();
            assert_eq!(
                (backoff.base, backoff.most),
                (millis(base), millis(most)),
                "{text}"
            );
            assert_eq!(backoff.to_string().parse(), Ok(backoff));
        }
        for (text, word) in [
            ("0", "longer than 0"),
            ("0..1s", "longer than 0"),
            ("1s..25ms", "25ms is less than 1s"),
            ("25", "a unit"),
            ("25ms..", "a unit"),
            ("..1s", "a unit"),
        ] {
            let refused = text.parse::<RetryBackoff>().unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_refused_or_reads_as_it_is_written(
            words in prop::collection::vec("connect-failure|reset|[3-6]xx|[3-5][0-9]{2}|unavailable|INTERNAL|.{0,3}", 0..6),
        ) {
            if let Ok(on) = words.join(",").parse::<RetryOn>() {
                prop_assert_eq!(on.to_string().parse::<RetryOn>().unwrap(), on);
            }
        }
    }
}
