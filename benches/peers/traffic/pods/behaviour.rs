//! What a pod does to its requests: as the commands say, and when.

use std::f64::consts::TAU;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Of the logarithm of how long a request takes: the slowest of a hundred takes three times the mean.
const SPREAD: f64 = 0.5;

#[derive(Debug)]
pub enum Command {
    Behave(Behaviour),
    /// Closes the listener and all connections: further ones are refused.
    Go,
}

#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Times as long as others take, and until when.
    slowness: f64,
    slow_until: Option<Instant>,
    pause: Option<Pause>,
    /// The share of requests that are failed, at once.
    pub failing: f64,
    /// Takes requests and answers none.
    pub hangs: bool,
}

/// Stands still so long, that often.
#[derive(Clone, Copy, Debug)]
struct Pause {
    lasts: Duration,
    every: Duration,
    first: Instant,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            slowness: 1.0,
            slow_until: None,
            pause: None,
            failing: 0.0,
            hangs: false,
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let verb = words.next();
        let numbers: Result<Vec<f64>, _> = words.map(f64::from_str).collect();
        let numbers = numbers.map_err(|error| format!("{text:?}: {error}"))?;
        let well = Behaviour::default();
        let behaviour = match (verb, numbers.as_slice()) {
            (Some("go"), []) => return Ok(Self::Go),
            (Some("well"), []) => well,
            (Some("hang"), []) => Behaviour {
                hangs: true,
                ..well
            },
            (Some("fail"), &[failing]) => Behaviour { failing, ..well },
            (Some("slow"), &[slowness]) => Behaviour { slowness, ..well },
            (Some("cold"), &[slowness, seconds]) => Behaviour {
                slowness,
                slow_until: Some(Instant::now() + Duration::from_secs_f64(seconds)),
                ..well
            },
            (Some("pause"), &[lasts, every, first]) => Behaviour {
                pause: Some(Pause {
                    lasts: Duration::from_secs_f64(lasts),
                    every: Duration::from_secs_f64(every),
                    first: Instant::now() + Duration::from_secs_f64(first),
                }),
                ..well
            },
            _ => return Err(format!("no such command: {text:?}")),
        };
        Ok(Self::Behave(behaviour))
    }
}

impl Behaviour {
    /// When work is done that begins now: it takes longer in a slow pod, and stands still in a pause.
    pub fn end(&self, now: Instant, work: Duration) -> Instant {
        let slow = self.slow_until.is_none_or(|until| now < until);
        let work = if slow {
            work.mul_f64(self.slowness)
        } else {
            work
        };
        let Some(pause) = self.pause else {
            return now + work;
        };
        let mut begin = pause.first;
        // The last pause that has begun, or the first.
        while begin + pause.every <= now {
            begin += pause.every;
        }
        let mut now = now;
        if begin <= now {
            now = now.max(begin + pause.lasts);
            begin += pause.every;
        }
        // Pauses that begin before the work is done.
        let mut end = now + work;
        while begin < end {
            end += pause.lasts;
            begin += pause.every;
        }
        end
    }
}

/// How long one request takes: lognormal about the mean.
pub fn work(mean: Duration) -> Duration {
    let normal = (-2.0 * fastrand::f64().max(1e-12).ln()).sqrt() * (TAU * fastrand::f64()).cos();
    mean.mul_f64((SPREAD * normal - SPREAD * SPREAD / 2.0).exp())
}
