//! What one pod is given at most, and how long requests wait while all have as much.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Limits per pod, of this process alone: other sidecars have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Requests in flight at one pod; `None` for no limit.
    pub pod_requests: Option<PodRequests>,
    /// Connections to one pod; `None` for no limit.
    pub pod_connections: Option<usize>,
    /// Requests waiting for room at a pod, per listener.
    pub pending: usize,
    /// How long each of them waits.
    pub pending_timeout: Duration,
}

/// The most requests in flight at one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodRequests {
    Fixed(usize),
    /// What the pod's latency says, but no less than `min` and no more than `max`.
    Adaptive {
        min: usize,
        max: usize,
    },
}

/// As in Envoy: enough to measure how fast a pod is that has little to do.
const USUAL_MIN: usize = 3;
const USUAL_MAX: usize = 1_000;

/// Past this a limit is none.
const MOST: usize = 1_000_000;

impl FromStr for PodRequests {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(options) = text.strip_prefix("adaptive") else {
            return count(text).map(Self::Fixed);
        };
        let (mut min, mut max) = (None, None);
        if !options.is_empty() {
            let options = options.strip_prefix(':').ok_or(FORMS)?;
            for option in options.split(',') {
                let (name, value) = option.split_once('=').ok_or(FORMS)?;
                let place = match name {
                    "min" => &mut min,
                    "max" => &mut max,
                    _ => return Err(FORMS.to_owned()),
                };
                if place.replace(count(value)?).is_some() {
                    return Err(format!("{name} is given twice: once is enough"));
                }
            }
        }
        let min = min.unwrap_or(USUAL_MIN.min(max.unwrap_or(USUAL_MIN)));
        let max = max.unwrap_or(USUAL_MAX.max(min));
        if min > max {
            return Err(format!(
                "min={min} is more than max={max}: nothing is between them"
            ));
        }
        Ok(Self::Adaptive { min, max })
    }
}

const FORMS: &str = "write a number, adaptive, or adaptive:min=N,max=N";

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST) => Ok(count),
        Ok(_) => Err(format!("a limit is from 1 to {MOST}")),
        Err(_) => Err(FORMS.to_owned()),
    }
}

impl fmt::Display for PodRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(most) => write!(f, "{most}"),
            Self::Adaptive { min, max } => write!(f, "adaptive:min={min},max={max}"),
        }
    }
}

impl Overload {
    /// Whether a pod can be full.
    pub fn is_on(&self) -> bool {
        self.pod_requests.is_some() || self.pod_connections.is_some()
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            pod_requests: None,
            pod_connections: None,
            // As Envoy.
            pending: 1_024,
            // Long enough for a burst to pass, and a small part of what clients' patience is: under lasting overload
            // each request that is answered has waited for as long.
            pending_timeout: Duration::from_millis(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_adaptive_with_its_bounds() {
        let adaptive = |min, max| Ok(PodRequests::Adaptive { min, max });
        for (text, read) in [
            ("7", Ok(PodRequests::Fixed(7))),
            ("adaptive", adaptive(3, 1_000)),
            ("adaptive:min=5", adaptive(5, 1_000)),
            ("adaptive:max=2", adaptive(2, 2)),
            ("adaptive:max=50,min=5", adaptive(5, 50)),
            ("adaptive:min=5000", adaptive(5_000, 5_000)),
        ] {
            assert_eq!(text.parse(), read, "{text}");
            let read: PodRequests = text.parse().unwrap();
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for (text, said) in [
            ("0", "from 1"),
            ("1000001", "to 1000000"),
            ("-1", "write a number"),
            ("x", "write a number"),
            ("adaptive:", "write a number"),
            ("adaptively", "write a number"),
            ("adaptive:most=1", "write a number"),
            ("adaptive:min=0", "from 1"),
            ("adaptive:min=1,min=2", "twice"),
            ("adaptive:min=9,max=8", "more than max"),
        ] {
            let refused = text.parse::<PodRequests>().unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
