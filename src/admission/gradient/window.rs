//! How long answers take, over a time: the mean, and how far that may be off.

use std::time::{Duration, Instant};

/// A mean latency.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    pub seconds: f64,
    /// How far it may be off, as a part of it: its standard error.
    pub error: f64,
}

/// What has come since a window began.
#[derive(Debug)]
pub struct Window {
    began: Instant,
    samples: u32,
    sum: f64,
    squares: f64,
    /// The most in flight at a time.
    pub peak: usize,
}

/// When a window says enough.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// It has lasted for so long,
    pub lasted: Duration,
    /// and has so many answers,
    pub samples: u32,
    /// or few whose mean is off by no more than this, as they are much alike.
    pub error: f64,
}

/// But a window is no longer than this, where it has any answer.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(2);

/// Fewer say nothing of how much answers differ.
const FEW_SAMPLES: u32 = 10;

/// No mean is known better: pods change.
pub const BEST_KNOWN: f64 = 0.02;

/// How much of a mean one more window can change.
const EASE: f64 = 0.2;

/// No answer takes less, in seconds.
const LEAST: f64 = 1e-6;

impl Window {
    pub fn new(began: Instant) -> Self {
        Self {
            began,
            samples: 0,
            sum: 0.0,
            squares: 0.0,
            peak: 0,
        }
    }

    /// An answer that took so long. One from before the window began is not its.
    pub fn add(&mut self, took: Duration, now: Instant) {
        if now >= self.began {
            let took = took.as_secs_f64();
            self.samples += 1;
            self.sum += took;
            self.squares += took * took;
        }
    }

    /// The mean, if the window says enough by now.
    pub fn mean(&self, wanted: Wanted, now: Instant) -> Option<Mean> {
        let lasted = now.saturating_duration_since(self.began);
        if self.samples == 0 || lasted < wanted.lasted.min(LONGEST_WINDOW) {
            return None;
        }
        let samples = f64::from(self.samples);
        let mean = (self.sum / samples).max(LEAST);
        let variance = (self.squares / samples - mean * mean).max(0.0);
        let error = (variance / samples).sqrt() / mean;
        let is_known = self.samples >= FEW_SAMPLES && error <= wanted.error;
        let is_enough = is_known || self.samples >= wanted.samples || lasted >= LONGEST_WINDOW;
        is_enough.then_some(Mean {
            seconds: mean,
            error,
        })
    }
}

impl Mean {
    /// Both taken together, each by how well it is known.
    pub fn with(self, other: Self) -> Self {
        let weight = |mean: Self| mean.error.max(BEST_KNOWN).powi(-2);
        let (own, others) = (weight(self), weight(other));
        let sum = own + others;
        Self {
            seconds: (self.seconds * own + other.seconds * others) / sum,
            error: sum.recip().sqrt(),
        }
    }

    /// A part of the way to another.
    pub fn eased(self, other: Self) -> Self {
        Self {
            seconds: self.seconds + EASE * (other.seconds - self.seconds),
            ..self
        }
    }
}
