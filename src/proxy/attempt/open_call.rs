//! A call that was answered, until its trailers tell what came of it.

use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;

use super::Attempt;
use crate::proxy::verdict::Verdict;

/// A call that was answered, whose outcome its trailers tell.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// Until its head.
    pub took: Duration,
    /// What it counts for in the share of failures.
    pub news: f64,
    /// Membership has been told that the pod answers.
    pub told: bool,
}

/// A call that goes on for longer than this is no failure of its trial: streams may last for hours.
pub(super) const LONGEST_TRIAL: Duration = Duration::from_secs(1);

impl Attempt {
    /// A response's trailers have come: for all that they may tell.
    pub fn ended(&mut self, trailers: &HeaderMap) {
        self.heard(trailers);
        if self.open.is_some() {
            self.settle(Verdict::of_trailers(self.reporter.codes, trailers));
        }
    }

    /// Ends the trial of a pod whose call goes on. Polled with the response's body.
    pub fn poll_trial(&mut self, cx: &mut Context<'_>) {
        let Some(ends) = &mut self.trial_ends else {
            return;
        };
        if ends.as_mut().poll(cx) == Poll::Ready(()) {
            self.trial_ends = None;
            if let Some(open) = &mut self.open {
                open.told = true;
                self.tell(None);
            }
        }
    }

    /// Whether anybody asks what a call's trailers say.
    pub(super) fn wants_trailers(&self) -> bool {
        self.reporter.codes.is_some()
            || self.upstream.latency().is_some()
            || self.upstream.tally().is_some()
    }

    /// What was left open is so.
    pub(super) fn settle(&mut self, verdict: Verdict) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.trial_ends = None;
        if let Some(latency) = self.upstream.latency() {
            latency.settle(verdict.failed, open.news);
        }
        self.tally(verdict.failed, open.took);
        if verdict.against.is_some() || !open.told {
            self.tell(verdict.against);
        }
    }
}
