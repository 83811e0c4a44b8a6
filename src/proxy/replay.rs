//! A request's body, so that it can be sent again while that is still possible.
//!
//! Bytes are kept only for requests that may be repeated, and only up to a bound; past it the body streams on and the
//! request can no longer be sent again. Nothing is ever buffered that the pod has not asked for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::headers;

/// How long a pod may keep a client waiting for `100 Continue` before the body is sent unasked (RFC 9110 section
/// 10.1.1: a client should not wait indefinitely, and some servers never send it).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the end of a body is waited for that has come whole but for the frame that says so.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The body of one request, over all its attempts. Clones are the same body.
#[derive(Clone, Debug)]
pub struct Replay {
    source: Option<Rc<RefCell<Source>>>,
    gate: Option<Arc<ContinueGate>>,
}

#[derive(Debug)]
struct Source {
    incoming: Incoming,
    /// What the client speaks.
    version: Version,
    kept: BytesMut,
    keep: Keep,
    trailers: Option<HeaderMap>,
    /// The last frame has been read.
    finished: bool,
    /// Somebody waits for it beyond the end of the request.
    seen_out: bool,
    /// When the last frame was taken.
    taken: Option<Instant>,
    /// Since when the next frame has been asked for without the client having sent it.
    awaited: Option<Instant>,
    state: State,
    /// Bytes that came from the client.
    received: u64,
}

/// How much of a body is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// At most.
    pub bytes: usize,
    /// Whether anything is. Where not, [`Replay::keep`] may still ask for it.
    pub on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All that was read has been kept.
    Whole,
    /// Something was read that was not kept.
    Spilled,
    /// The client's side broke.
    Broken,
}

/// The body as one attempt sends it: what was kept, then what still comes.
#[derive(Debug)]
pub struct AttemptBody {
    source: Option<Rc<RefCell<Source>>>,
    /// How far this attempt has come through what was kept.
    sent: usize,
    ended: bool,
    gate: Option<(Arc<ContinueGate>, Pin<Box<Sleep>>)>,
}

/// Closed until the pod asks for the body.
#[derive(Debug, Default)]
pub struct ContinueGate {
    open: AtomicBool,
    waker: AtomicWaker,
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
            source: Some(Rc::new(RefCell::new(Source {
                incoming,
                version,
                kept: BytesMut::new(),
                keep,
                trailers: None,
                finished: false,
                seen_out: false,
                taken: None,
                awaited: None,
                state: State::Whole,
                received: 0,
            }))),
            gate: expects_continue.then(Arc::default),
        }
    }

    /// The body for one more attempt; only of use while [`is_replayable`](Self::is_replayable).
    pub fn attempt(&self) -> AttemptBody {
        if let Some(source) = &self.source {
            // Its own pod has asked for nothing yet.
            source.borrow_mut().awaited = None;
        }
        AttemptBody {
            source: self.source.clone(),
            sent: 0,
            ended: false,
            gate: self
                .gate
                .as_ref()
                .filter(|gate| !gate.open.load(Relaxed))
                .map(|gate| (gate.clone(), Box::pin(tokio::time::sleep(CONTINUE_TIMEOUT)))),
        }
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

impl ContinueGate {
    pub fn open(&self) {
        self.open.store(true, Relaxed);
        self.waker.wake();
    }

    fn poll_open(&self, timeout: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.open.load(Relaxed) {
            return Poll::Ready(());
        }
        ready!(timeout.poll(cx));
        self.open.store(true, Relaxed);
        Poll::Ready(())
    }
}

impl Source {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        let Poll::Ready(mut frame) = frame else {
            self.awaited.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        if frame.is_none() && self.version == Version::HTTP_2 && !self.incoming.is_end_stream() {
            // A stream that its client reset with "no error", as some do who give up, looks like its end to hyper. The
            // pod must not take it for one; the request is dropped for its reset in this very turn.
            self.state = State::Broken;
            return Poll::Pending;
        }
        self.awaited = None;
        self.taken = Some(Instant::now());
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.received += data.len() as u64;
                    self.keep(data);
                } else if let Some(trailers) = frame.trailers_mut() {
                    headers::for_trailers(trailers);
                    self.trailers = Some(trailers.clone());
                }
            }
            Some(Err(_)) => self.state = State::Broken,
            None => {}
        }
        self.finished = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
        Poll::Ready(frame)
    }

    fn is_finished(&self) -> bool {
        self.finished || self.incoming.is_end_stream()
    }

    /// Whether all bytes that were announced have come, and not the end. Says so once.
    fn may_be_seen_out(&mut self) -> bool {
        let whole = self.incoming.size_hint().exact() == Some(0);
        let may = whole && !self.is_finished() && self.state != State::Broken;
        may && !std::mem::replace(&mut self.seen_out, true)
    }

    fn keep(&mut self, data: &Bytes) {
        let most = if self.keep.on { self.keep.bytes } else { 0 };
        if self.state == State::Whole && self.kept.len() + data.len() <= most {
            self.kept.extend_from_slice(data);
        } else if self.state == State::Whole {
            self.state = State::Spilled;
            self.kept = BytesMut::new();
        }
    }
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(source) = &this.source else {
            return Poll::Ready(None);
        };
        if let Some((gate, timeout)) = &mut this.gate {
            ready!(gate.poll_open(timeout.as_mut(), cx));
            this.gate = None;
        }
        let mut source = source.borrow_mut();
        if this.sent < source.kept.len() {
            let again = Bytes::copy_from_slice(&source.kept[this.sent..]);
            this.sent = source.kept.len();
            return Poll::Ready(Some(Ok(Frame::data(again))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        // Read to its end by an attempt before this one.
        if source.is_finished() {
            this.ended = true;
            let trailers = source.trailers.clone();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(source.poll_next(cx));
        this.sent = source.kept.len();
        this.ended = source.finished;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|source| {
            let source = source.borrow();
            let all_sent = self.sent == source.kept.len() && source.trailers.is_none();
            self.ended || (all_sent && source.is_finished())
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            None => SizeHint::with_exact(0),
            Some(source) => {
                let source = source.borrow();
                let kept = (source.kept.len() - self.sent.min(source.kept.len())) as u64;
                source
                    .incoming
                    .size_hint()
                    .exact()
                    .map_or_else(SizeHint::new, |rest| SizeHint::with_exact(kept + rest))
            }
        }
    }
}
