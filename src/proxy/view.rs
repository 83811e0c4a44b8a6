//! What a worker sees of a target's pods: the latest snapshot, and its own connections to who is in it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Proxy;
use super::replay::AttemptBody;
use crate::endpoint::Identity;
use crate::pool::Upstream;
use crate::snapshot::{Member, Snapshot};

/// A snapshot, with this worker's connections to its members.
#[derive(Debug)]
pub(super) struct View {
    pub snapshot: Arc<Snapshot>,
    /// By the member's index; `None` for those without traffic.
    pub upstreams: Vec<Option<Rc<Upstream<AttemptBody>>>>,
}

impl Proxy {
    /// Keeps the view up to date, and idle connections within their time, until membership is gone.
    pub async fn follow(self: Rc<Self>, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        const EXPIRE_EVERY: Duration = Duration::from_millis(500);
        let mut expire = tokio::time::interval(EXPIRE_EVERY);
        loop {
            tokio::select! {
                biased;
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let snapshot = snapshots.borrow_and_update().clone();
                    self.install(snapshot);
                }
                () = self.connections_wanted() => self.lend(),
                now = expire.tick() => {
                    self.expire_idle(now.into_std());
                    if let Some(hedging) = &self.hedging {
                        hedging.renew(now.into_std());
                    }
                }
            }
        }
    }

    /// Takes over a snapshot: from here on no request is sent to a pod it leaves out, and idle connections there
    /// close.
    pub(super) fn install(&self, snapshot: Arc<Snapshot>) {
        let last = self.view.borrow().clone();
        let mut known: HashMap<&Identity, &Rc<Upstream<AttemptBody>>> = last
            .upstreams
            .iter()
            .flatten()
            .map(|upstream| (upstream.identity(), upstream))
            .collect();
        let mut upstreams = Vec::with_capacity(snapshot.members.len());
        for member in &snapshot.members {
            // A pod keeps its connections while it is ejected; they close when the list takes its traffic away.
            let identity = &member.endpoint.identity;
            let kept = match member.endpoint.is_used() {
                true => known.remove(identity),
                false => None,
            };
            upstreams.push(match kept {
                Some(kept) => {
                    kept.set_endpoint(&member.endpoint);
                    if member.health.is_silent() {
                        kept.forsake();
                    }
                    Some(kept.clone())
                }
                None => member.gets_traffic().then(|| self.upstream(member)),
            });
        }
        for gone in known.into_values() {
            gone.close();
        }
        let next = Rc::new(View {
            snapshot,
            upstreams,
        });
        self.view.replace(next);
        self.view_changed.notify_waiters();
        if let Some(pending) = &self.pending {
            pending.wake();
        }
    }

    fn upstream(&self, member: &Member) -> Rc<Upstream<AttemptBody>> {
        Upstream::new(
            member.endpoint.clone(),
            member.stats.clone(),
            self.pool.clone(),
        )
    }

    /// Until a request of another worker waits for the place of what may lie idle here.
    async fn connections_wanted(&self) {
        match &self.pending {
            Some(pending) => pending.wanted(self.worker).await,
            None => std::future::pending().await,
        }
    }

    /// Closes idle connections whose places others wait for.
    fn lend(&self) {
        let Some(pending) = &self.pending else {
            return;
        };
        let view = self.view.borrow().clone();
        pending.lend(self.worker, |mut most| {
            let upstreams = view.upstreams.iter().flatten();
            // Each is asked, whatever the others left.
            upstreams
                .filter(|upstream| upstream.lend(&mut most))
                .count()
                > 0
        });
    }

    fn expire_idle(&self, now: Instant) {
        let view = self.view.borrow().clone();
        for upstream in view.upstreams.iter().flatten() {
            upstream.expire(now);
        }
    }
}
