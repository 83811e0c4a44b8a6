//! A length of time, as settings are written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// A length of time: `500ms`, `10s`, `1m 30s`; a bare `0` needs no unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Longer than any use, and far from where adding it to a clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let span = SignedDuration::from_str(text)
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .ok_or("a duration has a number and a unit, such as 500ms, 10s or 2m")?;
        if span > LONGEST {
            return Err("at most 365 days".to_owned());
        }
        Ok(Self(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0"),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}
