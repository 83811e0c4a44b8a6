//! Looks now and then for pods that answer nothing of what they have in hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Identity};
use crate::outlier::Others;
use crate::stats::{EndpointStats, Silence, TargetStats};

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Listening {
    /// What each had answered at the last look.
    answered: HashMap<Identity, u64>,
    next: Instant,
}

/// A pod with requests in hand that has answered nothing since the last look.
#[derive(Debug)]
pub(super) struct Silent {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) silence: Silence,
    pub(super) others: Others,
}

impl Listening {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            answered: HashMap::new(),
            next: now + EVERY,
        }
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Who of a target's `pods` is silent towards everybody. What is no longer among them is forgotten.
    pub(super) fn listen<'a>(
        &mut self,
        pods: impl Iterator<Item = (&'a Arc<Endpoint>, &'a Arc<EndpointStats>)>,
        totals: &TargetStats,
        now: Instant,
    ) -> Vec<Silent> {
        self.next = now + EVERY;
        let before = std::mem::take(&mut self.answered);
        // Who has fallen silent as well, as with a node, does not speak for the Service.
        let mut others = Others {
            pods: 0,
            waiting: 0,
        };
        let mut silent = Vec::new();
        for (endpoint, stats) in pods {
            let waiting = stats.waiting();
            let answered = stats.answered();
            let last = before.get(&endpoint.identity);
            self.answered.insert(endpoint.identity.clone(), answered);
            let silence = match waiting > 0 && last == Some(&answered) {
                true => stats.silence(totals, now),
                false => None,
            };
            match silence {
                Some(silence) => silent.push((endpoint.clone(), silence)),
                None => {
                    others.pods += 1;
                    others.waiting += waiting;
                }
            }
        }
        let found = silent.into_iter().map(|(endpoint, silence)| Silent {
            endpoint,
            silence,
            others,
        });
        found.collect()
    }
}
