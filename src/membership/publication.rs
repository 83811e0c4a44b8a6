//! A snapshot of all that is known, for workers and admin.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Membership;
use super::checked::Checked;
use crate::balance::Candidate;
use crate::endpoint::Endpoint;
use crate::health_check;
use crate::outlier::Verdict;
use crate::snapshot::{Health, Member, Snapshot};

impl Membership {
    pub(super) fn publish(&mut self, now: Instant) {
        self.guard(now);
        self.tell_of_waiting();
        self.version += 1;
        let mut members: Vec<Member> = self
            .endpoints
            .iter()
            .map(|endpoint| self.member(endpoint, now))
            .collect();
        self.ramp(&mut members, now);
        let candidates: Vec<Candidate> = members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.gets_traffic())
            .map(|(index, member)| Candidate {
                member: index,
                identity: member.endpoint.identity.clone(),
                trial: matches!(member.health, Health::Trial { .. }),
                weight: member.weight(),
                ramp: member.ramp,
                stats: member.stats.clone(),
            })
            .collect();
        self.snapshots.send_replace(Arc::new(Snapshot {
            version: self.version,
            panics: self.panics() || self.checked.as_ref().is_some_and(Checked::panics),
            picker: self.balancer.picker(&candidates),
            members,
            published: SystemTime::now(),
        }));
    }

    /// Notes who serves from now on, and so who ramps. One on trial does not serve yet, nor does one of weight 0.
    fn ramp(&mut self, members: &mut [Member], now: Instant) {
        let Some(ramping) = &mut self.ramping else {
            return;
        };
        let serving = members.iter().filter(|member| {
            let on_trial = matches!(member.health, Health::Trial { .. });
            member.gets_traffic() && !on_trial && member.endpoint.weight > 0
        });
        let serving = serving.map(|member| member.endpoint.identity.clone());
        ramping.serve(serving.collect(), now);
        for member in members {
            member.ramp = ramping.ramp(&member.endpoint.identity);
        }
    }

    fn member(&self, endpoint: &Arc<Endpoint>, now: Instant) -> Member {
        let identity = &endpoint.identity;
        let health = match (self.detector.verdict(identity), self.by_check(endpoint)) {
            (_, Some(health @ (Health::Unchecked | Health::Unhealthy { .. }))) => health,
            (Verdict::Healthy, by_check) => by_check.unwrap_or(Health::Healthy),
            (Verdict::Trial { cause }, _) => Health::Trial { cause },
            (Verdict::Ejected { until, cause }, _) => Health::Ejected {
                until: SystemTime::now() + until.saturating_duration_since(now),
                cause,
            },
        };
        let stats = self.stats.get(identity).cloned();
        Member {
            endpoint: endpoint.clone(),
            health: match self.panics() && endpoint.is_used() {
                true => health.in_panic(),
                false => health,
            },
            ramp: None,
            reported: self
                .reports
                .as_ref()
                .map(|reports| reports.weight(identity)),
            stats: stats.unwrap_or_else(|| self.new_stats(now)),
        }
    }

    /// What its checks hold against a pod that the list uses.
    fn by_check(&self, endpoint: &Endpoint) -> Option<Health> {
        let checked = self.checked.as_ref().filter(|_| endpoint.is_used())?;
        let health = match checked.verdict(&endpoint.identity) {
            health_check::Verdict::Healthy => return None,
            health_check::Verdict::Unchecked => Health::Unchecked,
            health_check::Verdict::Unhealthy(reason) => Health::Unhealthy {
                reason: reason.clone(),
            },
        };
        Some(match checked.panics() {
            true => health.in_panic(),
            false => health,
        })
    }
}
