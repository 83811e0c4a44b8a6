//! How weights are made of what pods report: the options of `weighted:orca`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::Span;

/// The options, as gRFC A58 names and sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orca {
    /// A pod's reports count so long after the first of them: a pod that has just begun reports what is not usual.
    pub blackout: Duration,
    /// A report counts no longer than this.
    pub expiry: Duration,
    pub error_penalty: ErrorPenalty,
    /// How often weights are made anew.
    pub update: Duration,
}

/// How much utilization a pod has that fails all requests; in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorPenalty(u32);

type Times = RangeInclusive<Duration>;

const BLACKOUTS: Times = Duration::from_millis(100)..=Duration::from_secs(3600);

/// No report expires before a weight is made of it.
const EXPIRIES: Times = Duration::from_secs(20)..=Duration::from_secs(3600);

/// Below, more is computed than learnt.
const UPDATES: Times = Duration::from_millis(100)..=Duration::from_secs(10);

pub(super) const SHAPE: &str =
    "weighted:orca[:blackout=TIME][:expiry=TIME][:error-penalty=NUMBER][:update=TIME]";

impl Default for Orca {
    fn default() -> Self {
        Self {
            blackout: Duration::from_secs(10),
            expiry: Duration::from_secs(180),
            error_penalty: ErrorPenalty(1000),
            update: Duration::from_secs(1),
        }
    }
}

impl ErrorPenalty {
    /// In thousandths.
    const MOST: u32 = 100_000;

    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e3
    }
}

impl FromStr for Orca {
    type Err = String;

    /// `blackout=TIME:expiry=TIME:error-penalty=NUMBER:update=TIME`, any of them left out.
    fn from_str(options: &str) -> Result<Self, String> {
        let mut orca = Self::default();
        let mut last = None;
        for option in options.split(':') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let place = match name {
                "blackout" => {
                    orca.blackout = match value {
                        "0" => Duration::ZERO,
                        _ => time(option, &BLACKOUTS, "10s, or 0 for none")?,
                    };
                    0
                }
                "expiry" => {
                    orca.expiry = time(option, &EXPIRIES, "3m")?;
                    1
                }
                "error-penalty" => {
                    orca.error_penalty = value.parse()?;
                    2
                }
                "update" => {
                    orca.update = time(option, &UPDATES, "1s")?;
                    3
                }
                _ => return Err(format!("it has no option {name:?}: write {SHAPE}")),
            };
            // One order, each once: so can the expression say it that admission policies have.
            if last >= Some(place) {
                return Err(format!(
                    "its options come once each and in one order: write {SHAPE}"
                ));
            }
            last = Some(place);
        }
        Ok(orca)
    }
}

fn time(option: &str, times: &Times, example: &str) -> Result<Duration, String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let time = value.parse().ok().map(|Span(time)| time);
    time.filter(|time| times.contains(time)).ok_or_else(|| {
        format!(
            "write {name}=TIME with a time between {} and {}, such as {example}",
            Span(*times.start()),
            Span(*times.end())
        )
    })
}

impl FromStr for ErrorPenalty {
    type Err = String;

    /// Up to three digits behind the point, exactly.
    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| {
            (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let thousandths = || format!("{whole}{part:0<3}").parse().ok();
        (is_number(whole) && is_number(part))
            .then(thousandths)
            .flatten()
            .filter(|penalty| *penalty <= Self::MOST)
            .map(Self)
            .ok_or_else(|| {
                "write error-penalty=NUMBER with a number between 0 and 100, such as 1.5".to_owned()
            })
    }
}

impl fmt::Display for ErrorPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

impl fmt::Display for Orca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "blackout={}:expiry={}:error-penalty={}:update={}",
            Span(self.blackout),
            Span(self.expiry),
            self.error_penalty,
            Span(self.update)
        )
    }
}
