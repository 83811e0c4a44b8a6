//! What carries one request to a pod, whichever protocol that is.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};

use super::http1::{Http1, Upgraded};
use super::http2::{Detached, Received, Stream};
use super::tls::Alert;

/// A connection for one request at a time, or a place on a shared one.
#[derive(Debug)]
pub enum Carrier<B: Body + 'static> {
    Http1(Http1<B>),
    Http2(Stream<B>),
}

/// A response's body as it comes from a pod.
#[derive(Debug)]
pub enum Incoming {
    Http1(hyper::body::Incoming),
    Http2(Received),
}

/// How a response's body broke. Its source is the library's error, from which an HTTP/2 client's reset takes its reason.
#[derive(Debug, thiserror::Error)]
#[error("the pod's response broke")]
pub enum BodyError {
    Http1(#[source] hyper::Error),
    Http2(#[source] h2::Error),
}

/// A request that brought no response.
#[derive(Debug)]
pub struct SendError<B> {
    pub cause: Cause,
    /// The pod has not looked at it, and says so.
    pub unprocessed: bool,
    /// Given back where not a byte of it was sent.
    pub unsent: Option<Request<B>>,
}

/// How the pod failed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    HeadTooLarge,
    /// What came is not the protocol that is spoken.
    Protocol,
    /// The connection ended.
    Ended,
    /// The connection ended that had been kept from a request before: the pod may not have meant this one.
    Stale,
    /// The pod reset the request's stream.
    Reset,
    /// The pod takes no further requests on this connection.
    Refused,
    /// The pod gave no sign of life.
    Silent,
    /// The pod does not take us for a client.
    Unwelcome(Alert),
}

impl<B> SendError<B> {
    pub(super) fn new(cause: Cause) -> Self {
        Self {
            cause,
            unprocessed: false,
            unsent: None,
        }
    }
}

impl<B> Carrier<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// The version that is spoken here, which a request must be made for.
    pub fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::HTTP_11,
            Self::Http2(_) => Version::HTTP_2,
        }
    }

    pub fn is_tls(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_tls(),
            Self::Http2(stream) => stream.is_tls(),
        }
    }

    /// Whether the pod may turn a request away without a look at it, whatever was to be done there.
    pub fn may_turn_away(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.may_turn_away(),
            Self::Http2(_) => true,
        }
    }

    /// Sends a request and waits for the head of its response. Dropped before that, the pod sees at once that nobody
    /// waits.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, SendError<B>> {
        match self {
            Self::Http1(connection) => {
                let response = connection.send(request).await?;
                Ok(response.map(Incoming::Http1))
            }
            Self::Http2(stream) => {
                let response = stream.send(request).await?;
                Ok(response.map(Incoming::Http2))
            }
        }
    }

    /// Drives the connection on behalf of a body that is being read from it. `Ready` once it has closed.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(connection) => connection.poll_drive(cx),
            Self::Http2(_) => Poll::Pending,
        }
    }

    /// A piece of the body has come.
    pub fn progressed(&self) {
        if let Self::Http1(connection) = self {
            connection.progressed();
        }
    }

    /// The connection itself, whose pod has just answered 101: from here on it carries no HTTP. `None` where there is no
    /// such thing (HTTP/2), or where HTTP is not over.
    pub fn into_upgraded(self) -> Option<Upgraded> {
        match self {
            Self::Http1(connection) => connection.into_upgraded(),
            Self::Http2(_) => None,
        }
    }

    /// What is left of the request's body goes on by itself, where the protocol lets it.
    pub fn detach_upload(&mut self) -> Option<Detached> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(stream) => stream.detach_upload(),
        }
    }

    /// Whether it has carried a request before this one, and may have been closed meanwhile.
    pub fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_reused(),
            Self::Http2(stream) => stream.is_reused(),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
