//! How much a pod can do at a time, found by its latency: the limit grows while answers come as fast as when the pod has
//! little to do, and shrinks as far as they come slower.
//!
//! Time is cut into windows. Over each, the mean latency is held against a baseline, which is measured at first and
//! every now and then with so few requests in flight that hardly one waits for another. A limit that shrinks and does not
//! make answers faster was not what made them slow: that is how fast the pod is now. It is the gradient of Netflix's
//! concurrency-limits, with a baseline that is measured again as in Envoy's adaptive concurrency.

use std::time::{Duration, Instant};

/// Between these the limit stays. `min` is at least 1, `max` at least `min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub min: usize,
    pub max: usize,
}

/// The limit of one pod.
#[derive(Debug)]
pub struct Gradient {
    range: Range,
    limit: f64,
    /// Mean latency in seconds with little to do; `None` before the first window's end.
    baseline: Option<f64>,
    start: Start,
    /// While the baseline is measured again, what the limit goes back to.
    probing: Option<f64>,
    probe_at: Instant,
    /// The limit and the mean where the limit began to shrink.
    shrinks: Option<Shrinking>,
    window: Window,
}

/// At first the limit grows by doubling, until answers have come clearly slower twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Doubling,
    Doubtful,
    Over,
}

/// What was known when the limit began to shrink.
#[derive(Clone, Copy, Debug)]
struct Shrinking {
    from: f64,
    mean: f64,
    /// Those since that shrank it further.
    windows: u32,
    /// It has shrunk once already without making answers faster.
    is_doubtful: bool,
    /// Windows that found the limit at its least, and answers slow all the same.
    at_least: u32,
}

/// What has come since a window began.
#[derive(Debug)]
struct Window {
    began: Instant,
    samples: u32,
    sum: f64,
    squares: f64,
    /// The most in flight at a time.
    peak: usize,
}

/// A window lasts as long as this at least, and until it has so many answers.
const WINDOW: Duration = Duration::from_millis(100);
const SAMPLES: u32 = 50;

/// Nor is it shorter than so many answers one after the other take.
const TURNS: f64 = 3.0;

/// But no longer than this, where it has any answer.
const LONGEST_WINDOW: Duration = Duration::from_secs(2);

/// So much slower than the baseline is not slower: means of few answers differ by as much.
const TOLERANCE: f64 = 1.05;

/// How far one window can take the limit down.
const STEEPEST: f64 = 0.5;

/// What ends the doubling at the beginning.
const CLEARLY: f64 = 0.8;

/// What a window without a queue adds, in parts of the limit; at least 1.
const GROWTH: f64 = 0.03;

/// How much of a baseline one window can change that was measured with little to do.
const EASE: f64 = 0.2;

/// The limit has shrunk to this part: time to look whether it has helped.
const FAR: f64 = 0.7;

/// After so many windows at the least limit, slow answers are how the pod is.
const PATIENCE: u32 = 5;

/// From one measuring of the baseline to the next.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// What is known at first was measured on a pod that may have been cold, and in a hurry.
const FIRST_PROBE: Duration = Duration::from_secs(5);

/// What the limit is cut to for that.
const PROBE_AT: f64 = 0.5;

impl Gradient {
    /// `jitter`, 0 to 1: so that not all pods are measured at the same moment.
    pub fn new(range: Range, now: Instant, jitter: f64) -> Self {
        Self {
            range,
            limit: range.min as f64,
            baseline: None,
            start: Start::Doubling,
            probing: None,
            probe_at: now + FIRST_PROBE.mul_f64(1.0 + jitter),
            shrinks: None,
            window: Window::new(now),
        }
    }

    pub fn limit(&self) -> usize {
        let limit = self.probing.map_or(self.limit, |limit| limit * PROBE_AT);
        // No cast from a float: whole seconds are whole numbers.
        let whole = Duration::try_from_secs_f64(limit).map_or(0, |limit| limit.as_secs());
        let limit = usize::try_from(whole).unwrap_or(self.range.max);
        limit.clamp(self.range.min, self.range.max)
    }

    /// An attempt has ended after `took`, with so many in flight. `answered`: with an answer; otherwise it is known only
    /// that one would have taken longer, which says something where that is slow. Whether the limit may have changed.
    pub fn observe(
        &mut self,
        took: Duration,
        answered: bool,
        in_flight: usize,
        now: Instant,
    ) -> bool {
        let took_seconds = took.as_secs_f64();
        let tells = answered || self.baseline.is_some_and(|usual| took_seconds > usual);
        let window = &mut self.window;
        window.peak = window.peak.max(in_flight);
        if tells && now >= window.began {
            window.samples += 1;
            window.sum += took_seconds;
            window.squares += took_seconds * took_seconds;
        }
        let lasted = now.saturating_duration_since(window.began);
        let samples = match self.probing {
            Some(_) => 2 * SAMPLES,
            None => SAMPLES,
        };
        let is_whole = window.samples >= samples || lasted >= LONGEST_WINDOW;
        let turns = Duration::from_secs_f64(TURNS * self.baseline.unwrap_or(0.0));
        let least = turns.clamp(WINDOW, LONGEST_WINDOW);
        if lasted < least || window.samples == 0 || !is_whole {
            return false;
        }
        let samples = f64::from(window.samples);
        let mean = window.sum / samples;
        let variance = (window.squares / samples - mean * mean).max(0.0);
        // How far the mean of so many may be off, as a part of it.
        let error = (variance / samples).sqrt() / mean;
        let tolerance = TOLERANCE + error;
        let peak = window.peak;
        // What ends by then was among those that the limit let in before.
        let settled = now + Duration::from_secs_f64(mean).min(LONGEST_WINDOW);
        self.window = Window::new(settled);
        self.close(mean, tolerance, peak, now);
        true
    }

    fn close(&mut self, mean: f64, tolerance: f64, peak: usize, now: Instant) {
        let Some(baseline) = self.baseline else {
            self.baseline = Some(mean);
            return;
        };
        if self.probing.take().is_some() {
            let differs = (mean / baseline - 1.0).abs() > 1.0 - CLEARLY;
            self.baseline = Some(match differs {
                true => mean,
                false => f64::midpoint(mean, baseline),
            });
            return;
        }
        // With less than half of what is allowed, nobody waits for another: this is how fast the pod is.
        let is_idle = (peak as f64) < self.limit * PROBE_AT;
        if is_idle || mean * TOLERANCE < baseline {
            self.baseline = Some(baseline + EASE * (mean - baseline));
        }
        let gradient = (tolerance * baseline / mean).clamp(STEEPEST, 1.0);
        // Half of the way, lest the limit follow chance.
        let gradient = match gradient < CLEARLY {
            true => gradient,
            false => f64::midpoint(gradient, 1.0),
        };
        let is_doubtful = gradient < 1.0 && self.start != Start::Over;
        if is_doubtful && (gradient > CLEARLY || self.start == Start::Doubling) {
            // It may be chance, and there is far to go.
            if gradient < CLEARLY {
                self.start = Start::Doubtful;
            }
        } else if gradient < 1.0 {
            self.start = Start::Over;
            self.shrink(gradient, mean);
        } else if !is_idle {
            self.shrinks = None;
            let more = match self.start {
                Start::Over => (self.limit * GROWTH).max(1.0),
                Start::Doubling | Start::Doubtful => {
                    // Of several windows, it is measured better than of one.
                    self.baseline = Some(f64::midpoint(mean, baseline));
                    self.limit
                }
            };
            self.limit += more;
        }
        self.limit = self
            .limit
            .clamp(self.range.min as f64, self.range.max as f64);
        if now >= self.probe_at {
            self.probe_at = now + PROBE_EVERY;
            self.probing = Some(self.limit);
        }
    }
}

impl Gradient {
    /// Gives the pod less, unless that has not made it faster: then this is how fast it is.
    fn shrink(&mut self, gradient: f64, mean: f64) {
        let shrinking = self.shrinks.get_or_insert(Shrinking {
            from: self.limit,
            mean,
            windows: 0,
            is_doubtful: false,
            at_least: 0,
        });
        if self.limit <= self.range.min as f64 {
            shrinking.at_least += 1;
        }
        let is_far = self.limit <= shrinking.from * FAR || shrinking.at_least >= PATIENCE;
        if !is_far {
            shrinking.windows += 1;
            self.limit *= gradient;
            return;
        }
        // Were it for a queue, answers would be faster by as much as there are fewer. Slower than before, the pod is
        // becoming so just now, and it is too early to tell why.
        let helped = mean < shrinking.mean * (1.0 + FAR) / 2.0;
        let changes = mean > shrinking.mean * (3.0 - FAR) / 2.0;
        // Nor does one window say much that may have begun before the pod changed.
        let is_judged = shrinking.windows > 1 || shrinking.is_doubtful;
        if shrinking.at_least >= PATIENCE || (is_judged && !helped && !changes) {
            self.baseline = Some(mean);
            self.shrinks = None;
            return;
        }
        *shrinking = Shrinking {
            from: self.limit,
            mean,
            windows: 1,
            is_doubtful: !helped,
            ..*shrinking
        };
        self.limit *= gradient;
    }
}

impl Window {
    fn new(began: Instant) -> Self {
        Self {
            began,
            samples: 0,
            sum: 0.0,
            squares: 0.0,
            peak: 0,
        }
    }
}

#[cfg(test)]
mod tests;
