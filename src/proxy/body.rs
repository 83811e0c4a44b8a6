//! The body of a response: a pod's, streamed as it comes, or a sentence of ours.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::attempt::Attempt;
use super::client::Taking;
use super::headers;
use super::record::Record;
use super::replay::AttemptBody;
use crate::admission::Permit;
use crate::error::Kind;
use crate::pool::http1::Http1;

/// What a client reads. When it is dropped the request is over, whichever way.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
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
}

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Upstream(Box<Upstreamed>),
}

/// A response under way from a pod.
#[derive(Debug)]
pub struct Upstreamed {
    pub incoming: Incoming,
    /// `None` once the connection has closed.
    pub connection: Option<Http1<AttemptBody>>,
    pub attempt: Attempt,
}

impl ResponseBody {
    pub fn text(text: String) -> Self {
        Self {
            content: Content::Text(Some(Bytes::from(text))),
            company: None,
        }
    }

    pub fn upstream(upstreamed: Upstreamed) -> Self {
        Self {
            content: Content::Upstream(Box::new(upstreamed)),
            company: None,
        }
    }

    pub fn accompany(&mut self, company: Company) {
        self.company = Some(company);
    }
}

impl Upstreamed {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Driven first: that is what fills the channel `incoming` reads from.
        let closed = match &mut self.connection {
            Some(connection) => connection.poll_drive(cx).is_ready(),
            None => false,
        };
        if closed {
            self.connection = None;
        }
        let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame {
            if let Some(connection) = &self.connection {
                connection.progressed();
            }
            if let Some(trailers) = frame.trailers_mut() {
                headers::for_trailers(trailers);
            }
        }
        frame
    }
}

impl Drop for Upstreamed {
    fn drop(&mut self) {
        // A connection whose exchange is not over (the client left, the body still comes) closes with its drop.
        if let Some(connection) = self.connection.take() {
            self.attempt.upstream().put_back(connection, Instant::now());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.content {
            Content::Text(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Content::Upstream(upstreamed) => upstreamed.poll_frame(cx),
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
                Some(Ok(frame)) => record.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => record.cut(Kind::Reset),
                None => record.complete(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Upstream(upstreamed) => upstreamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Content::Upstream(upstreamed) => upstreamed.incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let ended = self.is_end_stream();
        if let Some(Company { record, taking, .. }) = &mut self.company {
            let client = taking.client();
            if let Content::Upstream(upstreamed) = &self.content {
                record.received(upstreamed.attempt.body().received());
            }
            if ended {
                record.complete();
            } else if client.is_overdue() {
                record.cut(Kind::RequestTimeout);
            }
            client.end();
        }
    }
}
