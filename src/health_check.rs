//! Active checks: each pod that the list uses is asked at intervals whether it is well, once per sidecar, on the control
//! thread. What comes of it goes to membership, which decides.
//!
//! A check is a connection of its own: it finds a pod that takes no more of them, and shares nothing with requests. It
//! carries no credential, and no header of any client.

mod exchange;
pub mod grpc;
mod probe;
mod track;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tracing::debug;

use crate::config::{HealthCheck, NewPods, UpstreamProtocol};
use crate::endpoint::{Endpoint, Identity};
use crate::snapshot::Snapshot;
use crate::upstream_tls::UpstreamTls;

pub use probe::Failure;
pub use track::{Track, Verdict};

/// Checks under way at once, of one target. Others wait for their turn.
const MOST_AT_ONCE: usize = 64;

/// Reports that checks may be ahead of membership; then they wait.
pub const REPORT_QUEUE: usize = 256;

/// An interval's part by which it may be longer or shorter, so that sidecars that start together do not stay in step.
const JITTER: f64 = 0.1;

/// What came of one check.
#[derive(Clone, Debug)]
pub struct Report {
    pub identity: Identity,
    /// Why it failed, where it did.
    pub outcome: Result<(), String>,
}

/// Checks the pods of one target.
#[derive(Clone, Debug)]
pub struct Checker {
    pub check: HealthCheck,
    pub protocol: UpstreamProtocol,
    pub tls: UpstreamTls,
    pub reports: mpsc::Sender<Report>,
}

/// A pod that is being checked, until this is dropped.
#[derive(Debug)]
struct Watched {
    endpoint: Arc<Endpoint>,
    task: AbortHandle,
}

impl Watched {
    fn begin(
        tasks: &mut JoinSet<()>,
        checker: &Arc<Checker>,
        endpoint: &Arc<Endpoint>,
        turns: &Arc<Semaphore>,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            task: tasks.spawn(follow(checker.clone(), endpoint.clone(), turns.clone())),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checker {
    /// Runs until the target's membership has ended.
    pub async fn run(self, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        let checker = Arc::new(self);
        let turns = Arc::new(Semaphore::new(MOST_AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut watched: HashMap<Identity, Watched> = HashMap::new();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            let mut next = HashMap::new();
            let used = snapshot.members.iter().map(|member| &member.endpoint);
            for endpoint in used.filter(|endpoint| endpoint.is_used()) {
                let known = watched
                    .remove(&endpoint.identity)
                    // It is spoken to in another way since.
                    .filter(|known| known.endpoint.protocol == endpoint.protocol);
                let known =
                    known.unwrap_or_else(|| Watched::begin(&mut tasks, &checker, endpoint, &turns));
                next.insert(endpoint.identity.clone(), known);
            }
            // Who has gone is dropped with what is left.
            watched = next;
            while tasks.try_join_next().is_some() {}
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Checks one pod for as long as it is on the list.
async fn follow(checker: Arc<Checker>, endpoint: Arc<Endpoint>, turns: Arc<Semaphore>) {
    // Requests wait for a pod that waits for its check. Otherwise a new pod's checks by many sidecars are spread.
    if checker.check.new_pods == NewPods::Use {
        sleep(checker.check.interval.mul_f64(fastrand::f64())).await;
    }
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else {
            return;
        };
        let outcome = probe::check(checker.clone(), endpoint.clone()).await;
        drop(turn);
        match outcome {
            // It says nothing about the pod.
            Err(failure) if failure.is_ours() => {
                debug!(pod = endpoint.name(), "not checked: {failure}");
            }
            outcome => {
                let report = Report {
                    identity: endpoint.identity.clone(),
                    outcome: outcome.map_err(|failure| failure.to_string()),
                };
                if checker.reports.send(report).await.is_err() {
                    return;
                }
            }
        }
        sleep(pause(checker.check.interval, fastrand::f64())).await;
    }
}

/// The time to the next check; `random` is from 0 up to 1.
fn pause(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

#[cfg(test)]
mod tests;
