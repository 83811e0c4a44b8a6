//! A request's body, so that it can be sent again while that is still possible.
//!
//! Bytes are kept only for requests that may be repeated, and only up to a bound; past it the body streams on and the
//! request can no longer be sent again. Nothing is ever buffered that the pod has not asked for.

mod attempt_body;
mod continue_gate;
mod source;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Version;
use http_body::Body;
use hyper::body::Incoming;

use source::{Source, State};

pub use attempt_body::AttemptBody;
pub use continue_gate::ContinueGate;

/// How long the end of a body is waited for that has come whole but for the frame that says so.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The body of one request, over all its attempts. Clones are the same body.
#[derive(Clone, Debug)]
pub struct Replay {
    source: Option<Rc<RefCell<Source>>>,
    gate: Option<Arc<ContinueGate>>,
}

/// How much of a body is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// At most.
    pub bytes: usize,
    /// Whether anything is. Where not, [`Replay::keep`] may still ask for it.
    pub on: bool,
}

impl Replay {
    /// `expects_continue`: the body is not asked for until the pod asks.
    pub fn new(incoming: Incoming, version: Version, keep: Keep, expects_continue: bool) -> Self {
        if incoming.is_end_stream() {
            return Self {
                source: None,
                gate: None,
            };
        }
        Self {
            source: Some(Rc::new(RefCell::new(Source::new(incoming, version, keep)))),
            gate: expects_continue.then(Arc::default),
        }
    }

    /// The body for one more attempt; only of use while [`is_replayable`](Self::is_replayable).
    pub fn attempt(&self) -> AttemptBody {
        if let Some(source) = &self.source {
            // Its own pod has asked for nothing yet.
            source.borrow_mut().awaited = None;
        }
        let gate = self.gate.as_ref().filter(|gate| !gate.is_open());
        AttemptBody::new(self.source.clone(), gate.cloned())
    }

    /// From here on it goes to a pod that may turn it away unseen, so that it may have to go to another.
    pub fn keep(&self) {
        if let Some(source) = &self.source {
            source.borrow_mut().keep.on = true;
        }
    }

    /// Whether all that was read from the client has been kept.
    pub fn is_replayable(&self) -> bool {
        self.state() == State::Whole
    }

    /// Whether all of it has been read and kept: it can go out twice at the same time.
    pub fn is_whole(&self) -> bool {
        self.is_replayable() && !self.is_unread()
    }

    /// Whether the client's side of the body broke: nothing that follows is the pod's fault.
    pub fn is_broken(&self) -> bool {
        self.state() == State::Broken
    }

    /// Whether the client still has body to send.
    pub fn is_unread(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| !source.borrow().is_finished())
    }

    /// Whether the client's body ended in trailers.
    pub fn has_trailers(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.borrow().trailers.is_some())
    }

    /// Since when the pod has had all that the client sent, or has not taken what waits: it is its turn. `None` while
    /// more is awaited from the client, `since` where nothing has been taken yet.
    pub fn pods_turn(&self, since: Instant) -> Option<Instant> {
        let Some(source) = &self.source else {
            return Some(since);
        };
        let source = source.borrow();
        source
            .awaited
            .is_none()
            .then(|| source.taken.map_or(since, |taken| taken.max(since)))
    }

    /// Since when it has been the client's turn: the pod has asked for more than it has sent.
    pub fn clients_turn(&self) -> Option<Instant> {
        self.source.as_ref()?.borrow().awaited
    }

    /// Bytes that came from the client.
    pub fn received(&self) -> u64 {
        self.source
            .as_ref()
            .map_or(0, |source| source.borrow().received)
    }

    /// Reads on for the end of a body of which nothing else is missing, beyond the end of the request.
    ///
    /// Over HTTP/2 the last byte and the end may come in two frames. A pod over HTTP/1.1 answers after the first, and a
    /// stream that is left with its answer before the second is reset: rightly (RFC 9113 section 8.1), but some clients
    /// take it for an error, as httpx does.
    pub fn see_out(&self) {
        let Some(source) = self.source.clone() else {
            return;
        };
        if !source.borrow_mut().may_be_seen_out() {
            return;
        }
        tokio::task::spawn_local(async move {
            let ended = poll_fn(|cx| source.borrow_mut().poll_next(cx).map(drop));
            // Whatever comes, or nothing: the stream is over.
            let _ = tokio::time::timeout(END_PATIENCE, ended).await;
        });
    }

    /// What a `100 Continue` opens, where the client waits for one.
    pub fn gate(&self) -> Option<Arc<ContinueGate>> {
        self.gate.clone()
    }

    fn state(&self) -> State {
        self.source
            .as_ref()
            .map_or(State::Whole, |source| source.borrow().state)
    }
}
