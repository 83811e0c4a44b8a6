//! Which pod gets a request next.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Proxy;
use super::answer::Failure;
use super::client::Client;
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use super::view::View;
use crate::admission::{ConnectionPermit, Pending, PodPermit};
use crate::balance::{Ask, TrialPass};
use crate::pool::Upstream;
use crate::snapshot::Health;

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
pub(super) enum Found<'a> {
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

    /// Whether there is a pod to ask at once, tried before or not.
    pub(super) fn has_pod(&self) -> bool {
        let may_share = self.pending.as_ref().is_none_or(|queue| queue.is_empty());
        let view = self.view.borrow();
        // Some are kept of pods that are left out for a while.
        let mut pods = view.snapshot.members.iter().zip(&view.upstreams);
        pods.any(|(member, upstream)| {
            let upstream = upstream.as_ref().filter(|_| member.gets_traffic());
            upstream.is_some_and(|it| !it.has_ended() && !it.is_full(may_share))
        })
    }

    /// A pod with room, unless others have waited for that for longer.
    pub(super) fn look(
        &self,
        outgoing: &Outgoing,
        tried: &[Rc<Upstream<AttemptBody>>],
    ) -> Found<'_> {
        match &self.pending {
            Some(queue) if !queue.is_empty() => Found::Full(queue),
            _ => self.pick(outgoing, tried, true),
        }
    }

    /// A pod with room. `may_share`: nobody has waited for longer for what any worker may have.
    pub(super) fn pick(
        &self,
        outgoing: &Outgoing,
        tried: &[Rc<Upstream<AttemptBody>>],
        may_share: bool,
    ) -> Found<'_> {
        let view = self.view.borrow();
        let sight = Sight {
            view: &view,
            tried,
            may_share,
        };
        let picker = &view.snapshot.picker;
        let ask = Ask::now(outgoing.key);
        for _ in 0..MOST_LOOKS {
            let had_room = Cell::new(false);
            let has_ended = |member| sight.has_ended(member);
            let is_out = |member| {
                let out = has_ended(member) || sight.is_full(member);
                if !out && !sight.is_on_trial(member) {
                    had_room.set(true);
                }
                out
            };
            let pick = picker.pick(&ask, |member| sight.was_tried(member) || is_out(member));
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
            let upstream = sight.upstream(pick.member);
            let Some(upstream) = upstream.filter(|upstream| !upstream.has_ended()) else {
                return Found::Nobody;
            };
            if let Some((permit, connection)) = places(upstream, may_share) {
                return Found::Pod(Chosen {
                    again: sight.was_tried(pick.member),
                    upstream: upstream.clone(),
                    trial: pick.trial,
                    permit,
                    connection,
                });
            }
            // Another worker was faster, and there may be room elsewhere.
            if !had_room.get() {
                break;
            }
        }
        match &self.pending {
            Some(queue) => Found::Full(queue),
            None => Found::Nobody,
        }
    }
}

/// The pods as one request sees them, by their place in the snapshot.
struct Sight<'a> {
    view: &'a View,
    tried: &'a [Rc<Upstream<AttemptBody>>],
    may_share: bool,
}

impl<'a> Sight<'a> {
    fn upstream(&self, member: usize) -> Option<&'a Rc<Upstream<AttemptBody>>> {
        self.view.upstreams.get(member)?.as_ref()
    }

    fn was_tried(&self, member: usize) -> bool {
        self.upstream(member).is_some_and(|upstream| {
            let mut tried = self.tried.iter();
            tried.any(|tried| tried.identity() == upstream.identity())
        })
    }

    fn has_ended(&self, member: usize) -> bool {
        let upstream = self.upstream(member);
        upstream.is_none_or(|upstream| upstream.has_ended())
    }

    fn is_full(&self, member: usize) -> bool {
        let upstream = self.upstream(member);
        upstream.is_some_and(|upstream| upstream.is_full(self.may_share))
    }

    /// One request at a time: room there is not for everybody.
    fn is_on_trial(&self, member: usize) -> bool {
        let member = self.view.snapshot.members.get(member);
        member.is_some_and(|member| matches!(member.health, Health::Trial { .. }))
    }
}

/// The places that a request takes at a pod, where those are limited; `None` where there is none left for it.
fn places(
    upstream: &Upstream<AttemptBody>,
    may_share: bool,
) -> Option<(Option<PodPermit>, Option<ConnectionPermit>)> {
    let permit = match upstream.limit() {
        Some(limit) => Some(limit.enter()?),
        None => None,
    };
    let connection = upstream.connection_permit(may_share).ok()?;
    Some((permit, connection))
}
