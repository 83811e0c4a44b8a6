//! The client's side of a request's body: what comes of it, and what is kept.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version};
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::Keep;
use crate::proxy::headers;

#[derive(Debug)]
pub(super) struct Source {
    pub incoming: Incoming,
    /// What the client speaks.
    version: Version,
    pub kept: BytesMut,
    pub keep: Keep,
    pub trailers: Option<HeaderMap>,
    /// The last frame has been read.
    pub finished: bool,
    /// Somebody waits for it beyond the end of the request.
    seen_out: bool,
    /// When the last frame was taken.
    pub taken: Option<Instant>,
    /// Since when the next frame has been asked for without the client having sent it.
    pub awaited: Option<Instant>,
    pub state: State,
    /// Bytes that came from the client.
    pub received: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All that was read has been kept.
    Whole,
    /// Something was read that was not kept.
    Spilled,
    /// The client's side broke.
    Broken,
}

impl Source {
    pub fn new(incoming: Incoming, version: Version, keep: Keep) -> Self {
        Self {
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
        }
    }

    pub fn poll_next(
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

    pub fn is_finished(&self) -> bool {
        self.finished || self.incoming.is_end_stream()
    }

    /// Whether all bytes that were announced have come, and not the end. Says so once.
    pub fn may_be_seen_out(&mut self) -> bool {
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
