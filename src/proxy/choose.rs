//! Which pod gets a request next, and the waits for one: while there is none, and while all are full.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Proxy;
use super::answer::Failure;
use super::client::Client;
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use crate::admission::{ConnectionPermit, Pending, PodPermit};
use crate::balance::{Ask, TrialPass};
use crate::error::Kind;
use crate::pool::Upstream;
use crate::snapshot::Health;
use crate::stats::{Count, TargetShard};

/// A pod for one attempt.
#[derive(Debug)]
pub(super) struct Chosen {
    pub upstream: Rc<Upstream<AttemptBody>>,
    pub trial: Option<TrialPass>,
    /// The request's place there, where places are limited.
    pub permit: Option<PodPermit>,
    /// The place of a new connection there, where those are limited and one is needed.
    pub connection: Option<ConnectionPermit>,
    /// The request has been there already: there is no other.
    pub again: bool,
}

impl Chosen {
    /// Whether it is a terminating pod that has failed the request already.
    fn is_about_to_end(&self) -> bool {
        self.again && self.upstream.is_last_resort()
    }
}

/// Looks at pods that each time gave their last place to another worker, before a request waits like others.
const MOST_LOOKS: usize = 64;

/// How long a request lets be a terminating pod that has failed it, where there is no other: it is about to end, and
/// then the request waits for the next one instead of using up its tries.
const REST: Duration = Duration::from_millis(200);

/// What looking for a pod came to.
enum Found<'a> {
    Pod(Chosen),
    Nobody,
    /// Each pod has as much as it may be given, or others wait already for one that has less.
    Full(&'a Arc<Pending>),
}

impl Proxy {
    /// The next pod, waiting for one while there is none or all are full, unless the client leaves.
    pub(super) async fn choose(
        &self,
        tried: &[Rc<Upstream<AttemptBody>>],
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<Chosen, Failure> {
        let mut found = self.look(outgoing, tried);
        // Each wait's end is set once, however often the two take turns.
        let (mut held_until, mut pending_until) = (None, None);
        let mut rested = false;
        loop {
            found = match found {
                Found::Pod(chosen) if chosen.is_about_to_end() && !rested => {
                    rested = true;
                    drop(chosen);
                    let changed = self.view_changed.notified();
                    tokio::select! {
                        paused = self.pause(REST, client, outgoing) => paused?,
                        () = changed => {}
                    }
                    self.look(outgoing, tried)
                }
                Found::Pod(chosen) => return Ok(chosen),
                Found::Nobody => {
                    let hold = self.settings.timeouts.hold;
                    let until = held_until.get_or_insert_with(|| Instant::now() + hold);
                    self.hold(*until, tried, client, outgoing).await?
                }
                Found::Full(queue) => {
                    let patience = self.settings.pending_timeout;
                    let until = pending_until.get_or_insert_with(|| Instant::now() + patience);
                    self.queue(queue, *until, tried, client, outgoing).await?
                }
            };
        }
    }

    /// A pod that was not asked, if there is one to ask at once. None on trial: it would have to be given its time.
    pub(super) fn choose_another(
        &self,
        mut tried: Vec<Rc<Upstream<AttemptBody>>>,
        outgoing: &Outgoing,
    ) -> Option<Chosen> {
        // Ends, as each turn leaves another pod out.
        loop {
            let Found::Pod(chosen) = self.look(outgoing, &tried) else {
                return None;
            };
            if chosen.again {
                return None;
            }
            if chosen.trial.is_none() {
                return Some(chosen);
            }
            tried.push(chosen.upstream);
        }
    }

    /// Waits until there is a pod, full or not.
    async fn hold(
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
        self.counters().add(Count::HeldStarted);
        let _ended = Ended(self.counters(), Count::HeldEnded);
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

    /// Whether there is a pod to ask at once, tried before or not.
    pub(super) fn has_pod(&self) -> bool {
        let may_share = self.pending.as_ref().is_none_or(|queue| queue.is_empty());
        let view = self.view.borrow();
        let mut upstreams = view.upstreams.iter().flatten();
        upstreams.any(|upstream| !upstream.has_ended() && !upstream.is_full(may_share))
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
    async fn queue(
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
        self.counters().add(Count::PendingStarted);
        let _ended = Ended(self.counters(), Count::PendingEnded);
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
        self.counters().add(count);
        if queue.is_news(Instant::now()) {
            let refused = self.stats.count(Count::PendingRefused);
            let timed_out = self.stats.count(Count::PendingTimedOut);
            warn!(
                target = &*self.target,
                refused,
                timed_out,
                "every pod is full: requests are answered 503 (/state shows the limits; --max-pod-requests and --max-pod-connections set them)"
            );
        }
    }

    /// A pod with room, unless others have waited for that for longer.
    fn look(&self, outgoing: &Outgoing, tried: &[Rc<Upstream<AttemptBody>>]) -> Found<'_> {
        match &self.pending {
            Some(queue) if !queue.is_empty() => Found::Full(queue),
            _ => self.pick(outgoing, tried, true),
        }
    }

    /// A pod with room. `may_share`: nobody has waited for longer for what any worker may have.
    fn pick(
        &self,
        outgoing: &Outgoing,
        tried: &[Rc<Upstream<AttemptBody>>],
        may_share: bool,
    ) -> Found<'_> {
        let view = self.view.borrow();
        let upstream = |member: usize| view.upstreams.get(member)?.as_ref();
        let was_tried = |upstream: &Upstream<AttemptBody>| {
            tried
                .iter()
                .any(|tried| tried.identity() == upstream.identity())
        };
        let has_ended = |member| upstream(member).is_none_or(|upstream| upstream.has_ended());
        let is_full = |member| upstream(member).is_some_and(|upstream| upstream.is_full(may_share));
        // One request at a time: room there is not for everybody.
        let is_on_trial = |member: usize| {
            let member = view.snapshot.members.get(member);
            member.is_some_and(|member| matches!(member.health, Health::Trial { .. }))
        };
        let picker = &view.snapshot.picker;
        let ask = Ask::now(outgoing.key);
        for _ in 0..MOST_LOOKS {
            let had_room = Cell::new(false);
            let is_out = |member| {
                let out = has_ended(member) || is_full(member);
                if !out && !is_on_trial(member) {
                    had_room.set(true);
                }
                out
            };
            let pick = picker.pick(&ask, |member| {
                upstream(member).is_some_and(|upstream| was_tried(upstream)) || is_out(member)
            });
            let Some(mut pick) = pick else {
                return Found::Nobody;
            };
            if is_out(pick.member) {
                // Rather one that was tried than one that is full, and that than one that is gone for good.
                for is_out in [&is_out as &dyn Fn(usize) -> bool, &has_ended] {
                    let Some(next) = picker.pick(&ask, is_out) else {
                        return Found::Nobody;
                    };
                    pick = next;
                    if !has_ended(pick.member) {
                        break;
                    }
                }
            }
            let Some(upstream) = upstream(pick.member).filter(|upstream| !upstream.has_ended())
            else {
                return Found::Nobody;
            };
            let permit = match (upstream.limit(), &self.pending) {
                (Some(limit), Some(queue)) => match limit.enter() {
                    Some(permit) => Some(permit),
                    // Another worker was faster, and there may be room elsewhere.
                    None if had_room.get() => continue,
                    None => return Found::Full(queue),
                },
                _ => None,
            };
            let connection = match (upstream.connection_permit(may_share), &self.pending) {
                (Ok(connection), _) => connection,
                (Err(_), _) if had_room.get() => continue,
                (Err(_), Some(queue)) => return Found::Full(queue),
                (Err(_), None) => return Found::Nobody,
            };
            return Found::Pod(Chosen {
                connection,
                again: was_tried(upstream),
                upstream: upstream.clone(),
                trial: pick.trial,
                permit,
            });
        }
        match &self.pending {
            Some(queue) => Found::Full(queue),
            None => Found::Nobody,
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
