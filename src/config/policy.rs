//! How the next pod is chosen, as `--policy` names it: `NAME[:OPTION=VALUE]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;

use super::{Orca, Span, orca};

/// How the next pod is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// Each as likely as the others.
    Random,
    /// Of some chosen at random, the one with the fewest requests in flight.
    LeastRequest { choices: usize },
    /// Of two chosen at random, the one whose answers have been faster, for the requests it has in flight.
    PeakEwma {
        /// How long a slow answer is held against a pod, roughly.
        decay: Duration,
    },
    /// Each by its weight.
    Weighted,
    /// Each by the weight that its reports of its load come to.
    Orca(Orca),
    /// The same for all requests with one key.
    Hash(HashKey),
}

/// What of a request decides which pod gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(HeaderName),
    /// A cookie of this name.
    Cookie(String),
    /// The path, without the query.
    Path,
    /// The address of whoever opened the connection.
    Source,
}

/// Choices of `least-request` at most: past a few, more make no difference, and each costs.
pub const MOST_CHOICES: usize = 10;

const USUAL_CHOICES: usize = 2;

/// As in Finagle and linkerd.
const USUAL_DECAY: Duration = Duration::from_secs(10);

/// Below, a single pause of a pod is forgotten before it matters; above, a restart is as good.
const DECAYS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);

const NAMES: [&str; 6] = [
    "round-robin",
    "random",
    "least-request",
    "peak-ewma",
    "weighted",
    "hash",
];

const POLICIES: &str = "round-robin, random, least-request[:choices=N], peak-ewma[:decay=TIME], \
    weighted, weighted:orca[:OPTION=VALUE], hash:header=NAME, hash:cookie=NAME, hash:path and hash:source";

impl Policy {
    /// Whether a text begins as a policy does, whatever comes of its options.
    pub fn is_named_by(text: &str) -> bool {
        NAMES.iter().any(|name| {
            text.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    }

    /// Without its options.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastRequest { .. } => "least-request",
            Self::PeakEwma { .. } => "peak-ewma",
            Self::Weighted => "weighted",
            Self::Orca(_) => "weighted:orca",
            Self::Hash(_) => "hash",
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, option) = match text.split_once(':') {
            Some((name, option)) => (name, Some(option)),
            None => (text, None),
        };
        match name {
            "round-robin" => without_option(Self::RoundRobin, option),
            "random" => without_option(Self::Random, option),
            "weighted" => weighted(option),
            "least-request" => {
                let choices = option.map_or(Ok(USUAL_CHOICES), choices)?;
                Ok(Self::LeastRequest { choices })
            }
            "peak-ewma" => {
                let decay = option.map_or(Ok(USUAL_DECAY), decay)?;
                Ok(Self::PeakEwma { decay })
            }
            "hash" => hash_key(option.unwrap_or_default()).map(Self::Hash),
            _ => Err(format!("there is no such policy; there are {POLICIES}")),
        }
    }
}

fn without_option(policy: Policy, option: Option<&str>) -> Result<Policy, String> {
    match option {
        None => Ok(policy),
        Some(_) => Err(format!("{policy} has no options: write {policy} alone")),
    }
}

fn weighted(option: Option<&str>) -> Result<Policy, String> {
    let Some(option) = option else {
        return Ok(Policy::Weighted);
    };
    let options = match option.split_once(':') {
        None if option == "orca" => return Ok(Policy::Orca(Orca::default())),
        Some(("orca", options)) => options,
        _ => {
            return Err(format!(
                "write weighted alone, or {} for weights that pods report",
                orca::SHAPE
            ));
        }
    };
    options.parse().map(Policy::Orca)
}

fn choices(option: &str) -> Result<usize, String> {
    option
        .strip_prefix("choices=")
        .and_then(|number| number.parse().ok())
        .filter(|number| (2..=MOST_CHOICES).contains(number))
        .ok_or_else(|| {
            format!(
                "write least-request:choices=N with a whole number between 2 and {MOST_CHOICES}, \
                 or least-request for {USUAL_CHOICES}"
            )
        })
}

fn decay(option: &str) -> Result<Duration, String> {
    option
        .strip_prefix("decay=")
        .and_then(|text| text.parse().ok())
        .map(|Span(decay)| decay)
        .filter(|decay| DECAYS.contains(decay))
        .ok_or_else(|| {
            format!(
                "write peak-ewma:decay=TIME with a time between {} and {}, such as 10s, \
                 or peak-ewma for {}",
                Span(*DECAYS.start()),
                Span(*DECAYS.end()),
                Span(USUAL_DECAY)
            )
        })
}

fn hash_key(option: &str) -> Result<HashKey, String> {
    match option.split_once('=') {
        None if option == "path" => Ok(HashKey::Path),
        None if option == "source" => Ok(HashKey::Source),
        Some(("header", name)) => name.parse().map(HashKey::Header).map_err(|_| {
            "write hash:header=NAME with the name of a header, such as hash:header=x-user"
                .to_owned()
        }),
        Some(("cookie", name)) if is_token(name) => Ok(HashKey::Cookie(name.to_owned())),
        Some(("cookie", _)) => Err(
            "write hash:cookie=NAME with the name of a cookie, such as hash:cookie=session"
                .to_owned(),
        ),
        _ => Err(
            "it must say what is hashed: write hash:header=NAME, hash:cookie=NAME, \
                  hash:path or hash:source"
                .to_owned(),
        ),
    }
}

/// What a cookie's name is made of (RFC 6265 section 4.1.1, RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::RoundRobin | Self::Random | Self::Weighted => Ok(()),
            Self::LeastRequest { choices } => write!(f, ":choices={choices}"),
            Self::PeakEwma { decay } => write!(f, ":decay={}", Span(*decay)),
            Self::Orca(orca) => write!(f, ":{orca}"),
            Self::Hash(key) => write!(f, ":{key}"),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header={name}"),
            Self::Cookie(name) => write!(f, "cookie={name}"),
            Self::Path => f.write_str("path"),
            Self::Source => f.write_str("source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Policy, String> {
        text.parse()
    }

    #[test]
    fn each_policy_is_read_with_its_options_and_written_with_all_of_them() {
        for (text, written) in [
            ("round-robin", "round-robin"),
            ("random", "random"),
            ("least-request", "least-request:choices=2"),
            ("least-request:choices=10", "least-request:choices=10"),
            ("peak-ewma", "peak-ewma:decay=10s"),
            ("peak-ewma:decay=500ms", "peak-ewma:decay=500ms"),
            ("weighted", "weighted"),
            (
                "weighted:orca",
                "weighted:orca:blackout=10s:expiry=3m:error-penalty=1:update=1s",
            ),
            (
                "weighted:orca:blackout=0:update=500ms",
                "weighted:orca:blackout=0:expiry=3m:error-penalty=1:update=500ms",
            ),
            (
                "weighted:orca:blackout=1m:expiry=1h:error-penalty=1.25:update=100ms",
                "weighted:orca:blackout=1m:expiry=60m:error-penalty=1.25:update=100ms",
            ),
            ("hash:header=X-User", "hash:header=x-user"),
            ("hash:cookie=__Host-id", "hash:cookie=__Host-id"),
            ("hash:path", "hash:path"),
            ("hash:source", "hash:source"),
        ] {
            let policy = parse(text).unwrap();
            assert_eq!(policy.to_string(), written);
            assert_eq!(parse(written), Ok(policy));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_mend() {
        for (text, mend) in [
            ("fair", "there are round-robin, random, least-request"),
            ("", "there are round-robin"),
            ("Random", "there are round-robin"),
            ("random:seed=1", "write random alone"),
            ("weighted:", "write weighted alone"),
            ("weighted:orcas", "write weighted alone"),
            ("weighted:orca:", "write weighted:orca[:blackout=TIME]"),
            (
                "weighted:orca:penalty=1",
                "write weighted:orca[:blackout=TIME]",
            ),
            ("weighted:orca:update=1s:expiry=1m", "in one order"),
            ("weighted:orca:update=1s:update=2s", "once each"),
            ("weighted:orca:blackout", "10s, or 0 for none"),
            ("weighted:orca:blackout=2h", "between 100ms and 60m"),
            ("weighted:orca:expiry=0", "such as 3m"),
            ("weighted:orca:expiry=19s", "between 20s and 60m"),
            ("weighted:orca:update=11s", "between 100ms and 10s"),
            ("weighted:orca:update=99ms", "such as 1s"),
            ("weighted:orca:error-penalty=", "between 0 and 100"),
            ("weighted:orca:error-penalty=-1", "between 0 and 100"),
            ("weighted:orca:error-penalty=100.1", "between 0 and 100"),
            ("weighted:orca:error-penalty=1.2345", "between 0 and 100"),
            ("weighted:orca:error-penalty=inf", "between 0 and 100"),
            ("least-request:", "least-request:choices=N"),
            ("least-request:choices=1", "between 2 and 10"),
            ("least-request:choices=11", "between 2 and 10"),
            ("least-request:decay=1s", "least-request:choices=N"),
            ("peak-ewma:decay=0", "between 100ms and 60m"),
            ("peak-ewma:decay=10", "such as 10s"),
            ("peak-ewma:decay=-1s", "such as 10s"),
            ("peak-ewma:decay=2h", "between 100ms and 60m"),
            ("hash", "write hash:header=NAME"),
            ("hash:", "write hash:header=NAME"),
            ("hash:query", "hash:path or hash:source"),
            ("hash:path=/x", "hash:path or hash:source"),
            ("hash:header=", "hash:header=x-user"),
            ("hash:header=a b", "hash:header=x-user"),
            ("hash:cookie=", "hash:cookie=session"),
            ("hash:cookie=a;b", "hash:cookie=session"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(mend), "{text}: {error}");
        }
    }
}
