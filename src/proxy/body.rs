//! The body of a response: a pod's, streamed as it comes, or a sentence of ours.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::attempt::Attempt;
use super::client::{InHand, Taking};
use super::headers;
use super::record::Record;
use super::replay::AttemptBody;
use super::tunnel::Switched;
use crate::admission::Permit;
use crate::error::Kind;
use crate::pool::{BodyError, Carrier, Detached, Incoming};

/// What a client reads. When it is dropped the request is over, whichever way.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// When it must be over.
    deadline: Option<Instant>,
    company: Option<Company>,
}

/// What ends with the response.
#[derive(Debug)]
pub struct Company {
    pub record: Record,
    pub taking: Taking,
    /// The client learns the body's end from the connection's end alone.
    pub ends_with_connection: bool,
    /// Its place among the requests in flight.
    pub _permit: Option<Permit>,
    /// Its connection is busy with it.
    pub _in_hand: InHand,
}

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Upstream(Box<Upstreamed>),
    /// No body, but the connection itself.
    Switched(Option<Box<Switched>>),
}

/// A response under way from a pod.
#[derive(Debug)]
pub struct Upstreamed {
    pub incoming: Incoming,
    /// What is left of the request's body, where that goes on by itself.
    pub upload: Option<Detached>,
    /// `None` once the connection has closed.
    pub carrier: Option<Carrier<AttemptBody>>,
    pub attempt: Attempt,
}

impl ResponseBody {
    pub fn empty() -> Self {
        Self::new(Content::Text(None))
    }

    pub fn text(text: String) -> Self {
        Self::new(Content::Text(Some(Bytes::from(text))))
    }

    pub fn upstream(upstreamed: Upstreamed) -> Self {
        Self::new(Content::Upstream(Box::new(upstreamed)))
    }

    pub fn switched(switched: Switched) -> Self {
        Self::new(Content::Switched(Some(Box::new(switched))))
    }

    /// The pod's side of a tunnel, if that is what the response makes.
    pub fn take_switched(&mut self) -> Option<Switched> {
        match &mut self.content {
            Content::Switched(switched) => switched.take().map(|switched| *switched),
            Content::Text(_) | Content::Upstream(_) => None,
        }
    }

    fn new(content: Content) -> Self {
        Self {
            content,
            deadline: None,
            company: None,
        }
    }

    /// It is to be over by then, or else dropped.
    pub fn must_end(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// When it must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Leaves a text of ours out, as the answer to HEAD has it.
    pub fn leave_out(&mut self) {
        if let Content::Text(text) = &mut self.content {
            *text = None;
        }
    }

    pub fn accompany(&mut self, company: Company) {
        self.company = Some(company);
        if self.is_end_stream() {
            // Nobody will ask for it.
            self.see_request_out();
        }
    }

    /// The response has come to its end, and the request's body should.
    fn see_request_out(&self) {
        if let Content::Upstream(upstreamed) = &self.content {
            upstreamed.attempt.body().see_out();
        }
    }
}

impl Upstreamed {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Driven first: that is what fills the channel `incoming` reads from.
        let closed = match &mut self.carrier {
            Some(carrier) => carrier.poll_drive(cx).is_ready(),
            None => false,
        };
        if closed {
            self.carrier = None;
        }
        self.attempt.poll_trial(cx);
        let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame {
            if let Some(carrier) = &self.carrier {
                carrier.progressed();
            }
            if let Some(trailers) = frame.trailers_mut() {
                self.attempt.ended(trailers);
                headers::for_trailers(trailers);
            }
        }
        frame
    }
}

impl Drop for Upstreamed {
    fn drop(&mut self) {
        // Whose exchange is not over (the client left, the body still comes) ends with its drop.
        if let Some(carrier) = self.carrier.take() {
            self.attempt.upstream().release(carrier);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match &mut this.content {
            Content::Text(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Content::Upstream(upstreamed) => upstreamed.poll_frame(cx),
            Content::Switched(_) => return Poll::Ready(None),
        };
        if let Some(Company { taking, .. }) = &mut this.company {
            match frame {
                Poll::Pending => taking.ask(),
                Poll::Ready(_) => taking.hand_over(),
            }
        }
        let frame = std::task::ready!(frame);
        if let Some(Company {
            record,
            taking,
            ends_with_connection,
            ..
        }) = &mut this.company
        {
            if *ends_with_connection && matches!(frame, Some(Err(_))) {
                taking.client().set_cut();
            }
            match &frame {
                // Behind trailers there is nothing, and nobody asks for it.
                Some(Ok(frame)) if frame.is_trailers() => record.complete(),
                Some(Ok(frame)) => record.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => record.cut(Kind::Reset),
                None => record.complete(),
            }
        }
        if frame.is_none() || this.is_end_stream() {
            this.see_request_out();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Upstream(upstreamed) => upstreamed.incoming.is_end_stream(),
            Content::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Content::Upstream(upstreamed) => upstreamed.incoming.size_hint(),
            Content::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let ended = self.is_end_stream();
        let is_late = self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now());
        if let Some(Company { record, taking, .. }) = &mut self.company {
            let client = taking.client();
            if let Content::Upstream(upstreamed) = &self.content {
                record.received(upstreamed.attempt.body().received());
            }
            if ended {
                record.complete();
            } else if client.is_overdue() || is_late {
                record.cut(Kind::RequestTimeout);
            }
        }
    }
}
