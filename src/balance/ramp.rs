//! Slow start: a pod that is new, or back, is passed over often at first and less and less, whatever the policy.
//!
//! The policy chooses as ever. Where it chose a pod that ramps, that one is kept with the likelihood of its share now;
//! otherwise the policy chooses again, without it. Shares are measured against the greatest that may be chosen: among pods
//! that all ramp, those that began together get the same, and one that is alone gets all.

use std::time::Instant;

use super::{Ask, Candidate};
use crate::config::SlowStart;
use crate::stable_hash::stable_hash;

/// A pod's way to its whole share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    pub since: Instant,
    pub slow: SlowStart,
}

impl Ramp {
    /// What part of its share it gets now: more than 0, and 1 once it is over.
    pub fn share(&self, now: Instant) -> f64 {
        self.slow.share(now.saturating_duration_since(self.since))
    }

    pub fn end(&self) -> Instant {
        self.since + self.slow.window
    }
}

/// Who ramps among those of a picker. Made only where somebody does.
#[derive(Debug)]
pub(super) struct Ramps {
    /// Sorted by member.
    ramping: Box<[(usize, Ramp)]>,
    others: Box<[usize]>,
}

/// Keeps what is drawn for a key apart from what the key is hashed for.
const KEY_SEED: u64 = 0x736c_6f77;

impl Ramps {
    pub(super) fn among(candidates: &[&Candidate]) -> Option<Self> {
        let ramps = |candidate: &&Candidate| Some((candidate.member, candidate.ramp?));
        let mut ramping: Vec<(usize, Ramp)> = candidates.iter().filter_map(ramps).collect();
        if ramping.is_empty() {
            return None;
        }
        ramping.sort_unstable_by_key(|(member, _)| *member);
        let others = candidates.iter().filter(|it| it.ramp.is_none());
        Some(Self {
            ramping: ramping.into(),
            others: others.map(|candidate| candidate.member).collect(),
        })
    }

    /// What `choose` chooses, told whom to leave out, if nobody is passed over. `tried` are left out anyway.
    pub(super) fn pick(
        &self,
        ask: &Ask<'_>,
        tried: impl Fn(usize) -> bool,
        choose: impl Fn(&dyn Fn(usize) -> bool) -> Option<usize>,
    ) -> Option<usize> {
        let mut choice = choose(&tried)?;
        let mut passed: Vec<usize> = Vec::new();
        // Each round leaves one more out; the one with the greatest share is always kept.
        for _ in 0..self.ramping.len() {
            let Some(share) = self.share(choice, ask, &tried) else {
                break;
            };
            if draw(ask.key) < share {
                break;
            }
            passed.push(choice);
            choice = choose(&|member| passed.contains(&member) || tried(member))?;
        }
        Some(choice)
    }

    /// The member's share, against the greatest of those not `tried`. `None` where there is nothing to decide.
    fn share(&self, member: usize, ask: &Ask<'_>, tried: &impl Fn(usize) -> bool) -> Option<f64> {
        let place = self.ramping.binary_search_by_key(&member, |(it, _)| *it);
        let (_, ramp) = self.ramping.get(place.ok()?)?;
        // Chosen though it was tried: there is no other.
        if tried(member) {
            return None;
        }
        let now = (ask.now)();
        if self.others.iter().any(|other| !tried(*other)) {
            return Some(ramp.share(now));
        }
        let untried = self.ramping.iter().filter(|(other, _)| !tried(*other));
        let greatest = untried.map(|(_, ramp)| ramp.share(now)).fold(0.0, f64::max);
        Some(if greatest > 0.0 {
            ramp.share(now) / greatest
        } else {
            1.0
        })
    }
}

/// From 0 up to 1. The same each time for a request with a key: so it moves to a ramping pod once, and stays.
fn draw(key: Option<u64>) -> f64 {
    match key {
        Some(key) => {
            let bits = stable_hash(&key.to_le_bytes(), KEY_SEED) >> 11;
            bits as f64 / (1_u64 << 53) as f64
        }
        None => fastrand::f64(),
    }
}

#[cfg(test)]
mod tests;
