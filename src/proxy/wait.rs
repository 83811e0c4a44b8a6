//! The waits on the way to a pod: while there is none, while all are full, and before the next attempt.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Proxy;
use super::answer::Failure;
use super::choose::Found;
use super::client::Client;
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use crate::admission::Pending;
use crate::error::Kind;
use crate::pool::Upstream;
use crate::stats::{Count, TargetShard};

impl Proxy {
    /// Waits until there is a pod, full or not.
    pub(super) async fn hold(
        &self,
        until: Instant,
        tried: &[Rc<Upstream<AttemptBody>>],
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<Found<'_>, Failure> {
        let Some(_held) = self.held.enter() else {
            return Err(Failure::new(
                Kind::Overload,
                "no ready pod, and too many requests wait for one already",
            ));
        };
        self.counters.add(Count::HeldStarted);
        let _ended = Ended(&self.counters, Count::HeldEnded);
        tokio::select! {
            biased;
            () = has_left(client, outgoing) => {
                Err(Failure::new(Kind::ClientGone, "the client left while no pod was ready"))
            }
            found = self.look_when_there(outgoing, tried) => Ok(found),
            () = tokio::time::sleep_until(until.into()) => Err(Failure::new(
                Kind::NoEndpoints,
                format!(
                    "the Service has no ready pod; waited {:?} for one",
                    self.settings.timeouts.hold
                ),
            )),
        }
    }

    /// The wait before the next attempt, unless the client leaves.
    pub(super) async fn pause(
        &self,
        wait: Duration,
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = has_left(client, outgoing) => {
                Err(Failure::new(Kind::ClientGone, "the client left before the next attempt"))
            }
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    async fn look_when_there(
        &self,
        outgoing: &Outgoing,
        tried: &[Rc<Upstream<AttemptBody>>],
    ) -> Found<'_> {
        loop {
            // Made before the look, so that a change between the two is not missed.
            let changed = self.view_changed.notified();
            match self.look(outgoing, tried) {
                Found::Nobody => changed.await,
                found => return found,
            }
        }
    }

    /// Waits in the queue until there is room at a pod, or no pod any more.
    pub(super) async fn queue(
        &self,
        queue: &Arc<Pending>,
        until: Instant,
        tried: &[Rc<Upstream<AttemptBody>>],
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<Found<'_>, Failure> {
        let Some(waiter) = queue.join(self.worker) else {
            self.overflow(queue, Count::PendingRefused);
            return Err(Failure::new(
                Kind::PodsFull,
                "every pod is full, and too many requests wait for room already",
            ));
        };
        self.counters.add(Count::PendingStarted);
        let _ended = Ended(&self.counters, Count::PendingEnded);
        let has_room = async {
            loop {
                waiter.turn().await;
                match self.pick(outgoing, tried, waiter.is_first()) {
                    Found::Full(_) => {}
                    found => return found,
                }
            }
        };
        tokio::select! {
            biased;
            () = has_left(client, outgoing) => {
                Err(Failure::new(Kind::ClientGone, "the client left while every pod was full"))
            }
            found = has_room => Ok(found),
            () = tokio::time::sleep_until(until.into()) => {
                self.overflow(queue, Count::PendingTimedOut);
                Err(Failure::new(
                    Kind::PodsFull,
                    format!(
                        "every pod is full; waited {:?} for room",
                        self.settings.pending_timeout
                    ),
                ))
            }
        }
    }

    /// Counts a request that finds no room, and says so every now and then.
    fn overflow(&self, queue: &Pending, count: Count) {
        self.counters.add(count);
        if queue.is_news(Instant::now()) {
            let refused = self.counters.all().count(Count::PendingRefused);
            let timed_out = self.counters.all().count(Count::PendingTimedOut);
            warn!(
                target = &*self.target,
                refused,
                timed_out,
                "every pod is full: requests are answered 503 (/state shows the limits; --max-pod-requests and --max-pod-connections set them)"
            );
        }
    }
}

/// Until the client has left.
async fn has_left(client: &Client, outgoing: &Outgoing) {
    if outgoing.body.is_unread() {
        client.left().await;
        client.set_cut();
    } else {
        // hyper itself looks, and drops the request.
        pending::<()>().await;
    }
}

/// Counts a wait's end, also when its client left.
struct Ended<'a>(&'a TargetShard, Count);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}
