//! A request's body as one attempt sends it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::ContinueGate;
use super::source::Source;

/// How long a pod may keep a client waiting for `100 Continue` before the body is sent unasked (RFC 9110 section
/// 10.1.1: a client should not wait indefinitely, and some servers never send it).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// What was kept, then what still comes.
#[derive(Debug)]
pub struct AttemptBody {
    source: Option<Rc<RefCell<Source>>>,
    /// How far this attempt has come through what was kept.
    sent: usize,
    ended: bool,
    gate: Option<(Arc<ContinueGate>, Pin<Box<Sleep>>)>,
}

impl AttemptBody {
    pub(super) fn new(
        source: Option<Rc<RefCell<Source>>>,
        gate: Option<Arc<ContinueGate>>,
    ) -> Self {
        Self {
            source,
            sent: 0,
            ended: false,
            gate: gate.map(|gate| (gate, Box::pin(tokio::time::sleep(CONTINUE_TIMEOUT)))),
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
