//! How what came of attempts reaches membership.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::counters::Counters;
use crate::config::GrpcCodes;
use crate::outlier::Fact;
use crate::stats::Count;

/// Tells membership what came of attempts. Bounded: a fact that finds the queue full is dropped and counted.
#[derive(Debug)]
pub struct Reporter {
    facts: mpsc::Sender<Fact>,
    counters: Rc<Counters>,
    /// Of calls that count as failures of the pod, where some are named.
    pub(super) codes: Option<GrpcCodes>,
}

impl Reporter {
    pub fn new(
        facts: mpsc::Sender<Fact>,
        counters: Rc<Counters>,
        codes: Option<GrpcCodes>,
    ) -> Self {
        Self {
            facts,
            counters,
            codes,
        }
    }

    /// Whether membership will hear of it.
    pub(super) fn report(&self, fact: Fact) -> bool {
        let heard = self.facts.try_send(fact).is_ok();
        if !heard {
            self.count(Count::FactDropped);
        }
        heard
    }

    /// Attempts of this worker's that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.counters.count(Count::Answered)
    }

    pub(super) fn count(&self, count: Count) {
        self.counters.add(count);
    }
}
