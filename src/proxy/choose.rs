//! Which pod gets a request next, and the wait for one while there is none.

use std::future::pending;
use std::rc::Rc;

use super::Proxy;
use super::answer::Failure;
use super::client::Client;
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use crate::balance::{Ask, TrialPass};
use crate::error::Kind;
use crate::pool::Upstream;
use crate::stats::{Count, TargetShard};

/// A pod for one attempt.
#[derive(Debug)]
pub(super) struct Chosen {
    pub upstream: Rc<Upstream<AttemptBody>>,
    pub trial: Option<TrialPass>,
    /// The request has been there already: there is no other.
    pub again: bool,
}

impl Proxy {
    /// The next pod, waiting for one while there is none, unless the client leaves.
    pub(super) async fn choose(
        &self,
        tried: &[Rc<Upstream<AttemptBody>>],
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<Chosen, Failure> {
        if let Some(chosen) = self.pick(outgoing, tried) {
            return Ok(chosen);
        }
        let Some(_held) = self.held.enter() else {
            return Err(Failure::new(
                Kind::Overload,
                "no ready pod, and too many requests wait for one already",
            ));
        };
        self.counters().add(Count::HeldStarted);
        let _ended = Ended(self.counters());
        let left = async {
            if outgoing.body.is_unread() {
                client.left().await;
            } else {
                // hyper itself looks, and drops the request.
                pending::<()>().await;
            }
        };
        let hold = self.settings.timeouts.hold;
        tokio::select! {
            biased;
            () = left => {
                client.set_cut();
                Err(Failure::new(Kind::ClientGone, "the client left while no pod was ready"))
            }
            chosen = self.pick_when_there(outgoing, tried) => Ok(chosen),
            () = tokio::time::sleep(hold) => Err(Failure::new(
                Kind::NoEndpoints,
                format!("the Service has no ready pod; waited {hold:?} for one"),
            )),
        }
    }

    /// Whether there is a pod to ask, tried before or not.
    pub(super) fn has_pod(&self) -> bool {
        let view = self.view.borrow();
        let mut upstreams = view.upstreams.iter().flatten();
        upstreams.any(|upstream| !upstream.has_ended())
    }

    async fn pick_when_there(
        &self,
        outgoing: &Outgoing,
        tried: &[Rc<Upstream<AttemptBody>>],
    ) -> Chosen {
        loop {
            // Made before the look, so that a change between the two is not missed.
            let changed = self.view_changed.notified();
            if let Some(chosen) = self.pick(outgoing, tried) {
                return chosen;
            }
            changed.await;
        }
    }

    fn pick(&self, outgoing: &Outgoing, tried: &[Rc<Upstream<AttemptBody>>]) -> Option<Chosen> {
        let view = self.view.borrow();
        let upstream = |member: usize| view.upstreams.get(member)?.as_ref();
        let was_tried = |upstream: &Upstream<AttemptBody>| {
            tried
                .iter()
                .any(|tried| tried.identity() == upstream.identity())
        };
        let has_ended = |member| upstream(member).is_none_or(|upstream| upstream.has_ended());
        let picker = &view.snapshot.picker;
        let ask = Ask::now(outgoing.key);
        let mut pick = picker.pick(&ask, |member| {
            has_ended(member) || upstream(member).is_some_and(|upstream| was_tried(upstream))
        })?;
        if has_ended(pick.member) {
            // Rather one that was tried than one that is gone for good.
            pick = picker.pick(&ask, has_ended)?;
        }
        let upstream = upstream(pick.member).filter(|upstream| !upstream.has_ended())?;
        Some(Chosen {
            again: was_tried(upstream),
            upstream: upstream.clone(),
            trial: pick.trial,
        })
    }
}

/// Counts a held request's end, also when its client left.
struct Ended<'a>(&'a TargetShard);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.add(Count::HeldEnded);
    }
}
