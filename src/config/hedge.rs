//! When a request is sent to a second pod while the first is silent, as `--hedge` has it: `TIME` or `pNN[:min=TIME]`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::Span;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hedge {
    /// After that time.
    After(Duration),
    /// Once it has taken longer than so many of a hundred attempts do, and not before that time.
    Quantile { percent: f64, least: Duration },
}

/// What is worth a second request: less is within what a network and a timer may take by themselves.
const USUAL_LEAST: Duration = Duration::from_millis(2);

/// Below, most requests would go out twice; above, too few are beyond for a judgement.
const PERCENTS: RangeInclusive<f64> = 50.0..=99.9;

impl Hedge {
    /// No request is sent to a second pod before that.
    pub fn earliest(self) -> Duration {
        match self {
            Self::After(time) => time,
            Self::Quantile { least, .. } => least,
        }
    }
}

impl FromStr for Hedge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(quantile) = text.strip_prefix('p') else {
            let Span(time) = text.parse().map_err(|reason| {
                format!("{reason}; or a share of the attempts, such as p95 or p95:min=5ms")
            })?;
            return match time.is_zero() {
                true => Err("must be longer than 0: else each request is sent twice".to_owned()),
                false => Ok(Self::After(time)),
            };
        };
        let (percent, least) = match quantile.split_once(':') {
            None => (quantile, USUAL_LEAST),
            Some((percent, option)) => (percent, least(option)?),
        };
        let is_number = percent.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        let percent = percent.parse().ok();
        let percent = percent.filter(|percent| is_number && PERCENTS.contains(percent));
        let percent = percent.ok_or_else(|| {
            let (first, last) = (PERCENTS.start(), PERCENTS.end());
            format!("write p{first} to p{last}, such as p95, or a time")
        })?;
        Ok(Self::Quantile { percent, least })
    }
}

fn least(option: &str) -> Result<Duration, String> {
    let time = option.strip_prefix("min=").ok_or_else(|| {
        format!("`{option}` is no option of it: there is min=TIME, as in p95:min=5ms")
    })?;
    time.parse().map(|Span(time)| time)
}

impl fmt::Display for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => Span(*time).fmt(f),
            Self::Quantile { percent, least } => write!(f, "p{percent}:min={}", Span(*least)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_time_or_a_share_of_attempts() {
        let millis = Duration::from_millis;
        let share = |percent, least| Hedge::Quantile {
            percent,
            least: millis(least),
        };
        for (text, hedge) in [
            ("20ms", Hedge::After(millis(20))),
            ("1s", Hedge::After(millis(1000))),
            ("p95", share(95.0, 2)),
            ("p99.9", share(99.9, 2)),
            ("p50:min=0", share(50.0, 0)),
            ("p90:min=10ms", share(90.0, 10)),
        ] {
            let read: Hedge = text.parse().unwrap();
            assert_eq!(read, hedge, "{text}");
            assert_eq!(read.to_string().parse(), Ok(hedge), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_what_to_write() {
        for (text, word) in [
            ("", "such as p95"),
            ("95", "such as p95"),
            ("0", "longer than 0"),
            ("0ms", "longer than 0"),
            ("p", "p50 to p99.9"),
            ("p0", "p50 to p99.9"),
            ("p49", "p50 to p99.9"),
            ("p100", "p50 to p99.9"),
            ("pnan", "p50 to p99.9"),
            ("p9e1", "p50 to p99.9"),
            ("p-95", "p50 to p99.9"),
            ("p95:", "min=TIME"),
            ("p95:max=5ms", "min=TIME"),
            ("p95:min=5", "a unit"),
        ] {
            let refused = text.parse::<Hedge>().unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
