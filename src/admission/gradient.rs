//! How much a pod can do at a time, found by its latency: the limit grows while answers come as fast as when the pod has
//! little to do, and shrinks as far as they come slower.
//!
//! Time is cut into windows. Over each, the mean latency is held against a baseline, which is measured at first and
//! every now and then with so few requests in flight that hardly one waits for another. What chance can do to the two
//! means is no sign of anything. A limit that shrinks and does not make answers faster was not what made them slow: that
//! is how fast the pod is now. It is the gradient of Netflix's concurrency-limits, with a baseline that is measured again
//! as in Envoy's adaptive concurrency.

mod window;

use std::time::{Duration, Instant};

use window::{BEST_KNOWN, LONGEST_WINDOW, Mean, Wanted, Window};

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
    /// Latency with little to do; `None` before the first window's end.
    baseline: Option<Mean>,
    start: Start,
    /// While the baseline is measured again, what the limit goes back to.
    probing: Option<f64>,
    probe_at: Instant,
    /// The limit and the mean where the limit began to shrink.
    shrinks: Option<Shrinking>,
    /// Where the limit last began to shrink: it comes back there sooner than it grows beyond.
    shrank_from: f64,
    /// Windows without a queue, since the limit last shrank.
    calm: u32,
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

/// A window lasts for as long as this at least, and until it has so many answers, or few that are alike.
const WINDOW: Duration = Duration::from_millis(100);
const SAMPLES: u32 = 50;

/// Nor is it shorter than so many answers one after the other take.
const TURNS: f64 = 3.0;

/// While the limit doubles there is far to go, and a mean that may be off by so much will do.
const ROUGHLY: f64 = 0.2;

/// So much slower than the baseline is not slower.
const TOLERANCE: f64 = 1.05;

/// So many may wait at the pod, lest it wait for the next itself.
const HEAD_ROOM: f64 = 2.0;

/// How far one window can take the limit down.
const STEEPEST: f64 = 0.5;

/// What ends the doubling at the beginning.
const CLEARLY: f64 = 0.8;

/// What a window without a queue adds, in parts of the limit; at least 1. The second in a row adds twice as much, and so
/// on up to so many.
const GROWTH: f64 = 0.03;
const MOST_CALM: u32 = 10;

/// Or this part of the way back to where the limit began to shrink, if that is more.
const RETURN: f64 = 0.5;

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
            shrank_from: 0.0,
            calm: 0,
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
        let window = &mut self.window;
        window.peak = window.peak.max(in_flight);
        let usual = self.baseline.map(|baseline| baseline.seconds);
        if answered || usual.is_some_and(|usual| took.as_secs_f64() > usual) {
            window.add(took, now);
        }
        let Some(mean) = self.window.mean(self.wanted(), now) else {
            return false;
        };
        let peak = self.window.peak;
        // What ends by then was among those that the limit let in before.
        let settled = now + Duration::from_secs_f64(mean.seconds).min(LONGEST_WINDOW);
        self.window = Window::new(settled);
        self.close(mean, peak, now);
        true
    }

    fn wanted(&self) -> Wanted {
        let (turns, samples, error) = match (self.probing, self.start) {
            (Some(_), _) => (TURNS, 2 * SAMPLES, BEST_KNOWN),
            (None, Start::Over) => (TURNS, SAMPLES, BEST_KNOWN),
            (None, Start::Doubling | Start::Doubtful) => (1.0, SAMPLES, ROUGHLY),
        };
        let usual = self.baseline.map_or(0.0, |baseline| baseline.seconds);
        let turns = Duration::try_from_secs_f64(turns * usual);
        Wanted {
            lasted: turns.unwrap_or(LONGEST_WINDOW).max(WINDOW),
            samples,
            error,
        }
    }

    fn close(&mut self, mean: Mean, peak: usize, now: Instant) {
        let Some(baseline) = self.baseline else {
            self.baseline = Some(mean);
            return;
        };
        // How far the ratio of the two may be off.
        let chance = mean.error.hypot(baseline.error);
        if self.probing.take().is_some() {
            let differs = (mean.seconds / baseline.seconds - 1.0).abs() > 1.0 - CLEARLY + chance;
            self.baseline = Some(match differs {
                true => mean,
                false => baseline.with(mean),
            });
            return;
        }
        // As much slower as those make answers that may wait.
        let head_room = self.limit / (self.limit - HEAD_ROOM).max(HEAD_ROOM);
        let tolerance = TOLERANCE.max(head_room) + chance;
        let ratio = baseline.seconds / mean.seconds;
        // With less than half of what is allowed, nobody waits for another: this is how fast the pod is.
        let is_idle = (peak as f64) < self.limit * PROBE_AT;
        if is_idle || ratio > TOLERANCE + chance {
            self.baseline = Some(baseline.eased(mean));
        }
        let gradient = match is_idle {
            true => 1.0,
            false => (tolerance * ratio).clamp(STEEPEST, 1.0),
        };
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
            self.calm = 0;
            self.shrink(gradient, mean);
        } else if !is_idle {
            self.shrinks = None;
            let more = match self.start {
                Start::Over => {
                    self.calm = (self.calm + 1).min(MOST_CALM);
                    let on = (self.limit * GROWTH).max(1.0) * f64::from(self.calm);
                    on.max((self.shrank_from - self.limit) * RETURN)
                }
                Start::Doubling | Start::Doubtful => {
                    // Of several windows, it is measured better than of one.
                    self.baseline = Some(baseline.with(mean));
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
    fn shrink(&mut self, gradient: f64, mean: Mean) {
        if self.shrinks.is_none() {
            self.shrank_from = self.limit;
        }
        let shrinking = self.shrinks.get_or_insert(Shrinking {
            from: self.limit,
            mean: mean.seconds,
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
        let helped = mean.seconds < shrinking.mean * (1.0 + FAR) / 2.0;
        let changes = mean.seconds > shrinking.mean * (3.0 - FAR) / 2.0;
        // Nor does one window say much that may have begun before the pod changed.
        let is_judged = shrinking.windows > 1 || shrinking.is_doubtful;
        if shrinking.at_least >= PATIENCE || (is_judged && !helped && !changes) {
            self.baseline = Some(mean);
            self.shrinks = None;
            return;
        }
        *shrinking = Shrinking {
            from: self.limit,
            mean: mean.seconds,
            windows: 1,
            is_doubtful: !helped,
            ..*shrinking
        };
        self.limit *= gradient;
    }
}

#[cfg(test)]
mod tests;
