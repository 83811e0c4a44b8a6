//! Who ramps, and since when: by whom the last picker served, and whom the next one is to serve.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::balance::Ramp;
use crate::config::SlowStart;
use crate::endpoint::Identity;

/// The slow starts of one target's pods.
#[derive(Debug)]
pub(super) struct Ramping {
    slow: SlowStart,
    serving: HashSet<Identity>,
    ramps: HashMap<Identity, Ramp>,
}

impl Ramping {
    pub(super) fn new(slow: SlowStart) -> Self {
        Self {
            slow,
            serving: HashSet::new(),
            ramps: HashMap::new(),
        }
    }

    /// From now on these serve. Who did not, ramps; but where nobody served, nobody can take its part, and none does.
    pub(super) fn serve(&mut self, serving: HashSet<Identity>, now: Instant) {
        self.ramps
            .retain(|identity, ramp| serving.contains(identity) && now < ramp.end());
        if !self.serving.is_empty() {
            for identity in serving.difference(&self.serving) {
                let ramp = Ramp {
                    since: now,
                    slow: self.slow,
                };
                self.ramps.insert(identity.clone(), ramp);
            }
        }
        self.serving = serving;
    }

    pub(super) fn ramp(&self, identity: &Identity) -> Option<Ramp> {
        self.ramps.get(identity).copied()
    }

    /// When the next ramp ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ramps.values().map(Ramp::end).min()
    }
}
