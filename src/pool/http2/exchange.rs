//! One request and its response on a stream.

use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body, Frame};

use super::super::{Cause, SendError};
use super::{Ended, Health, Place, Shareable};

/// A place on a connection, and the exchange that goes on there. Dropped before it is over, the pod is told that nobody
/// waits any more (`RST_STREAM` with `CANCEL`).
pub struct Stream<B> {
    sender: SendRequest<Bytes>,
    upload: Option<Upload<B>>,
    place: Place,
    /// The connection was there before the request.
    was_there: bool,
    /// Interim responses (1xx) so far.
    interim: u32,
    is_tls: bool,
}

/// Interim responses that may come before a response. They are not passed on, and a pod could send them for ever.
const MOST_INTERIM: u32 = 100;

/// A response's body. It holds no place: that is the exchange's.
pub struct Received {
    stream: RecvStream,
    health: Rc<Health>,
    data_ended: bool,
}

/// A request's body on its way, never ahead of what the pod's window takes.
struct Upload<B> {
    body: Pin<Box<B>>,
    stream: SendStream<Bytes>,
    waiting: Bytes,
}

/// The request's own body failed; the pod has been told.
#[derive(Debug)]
struct Broken;

impl<B> Stream<B> {
    pub(super) fn new(connection: &Shareable, was_there: bool) -> Self {
        Self {
            sender: connection.sender.clone(),
            upload: None,
            place: Place::take(&connection.health),
            was_there,
            interim: 0,
            is_tls: connection.is_tls,
        }
    }

    /// Whether the connection was there before the request, and may have ended meanwhile.
    pub fn is_reused(&self) -> bool {
        self.was_there
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn error(&self, error: &h2::Error) -> SendError<B> {
        let unprocessed = is_unprocessed(error);
        let cause = if unprocessed {
            Cause::Refused
        } else if error.is_reset() && error.is_remote() {
            Cause::Reset
        } else {
            self.end_of_connection(error)
        };
        SendError {
            unprocessed,
            ..SendError::new(cause)
        }
    }

    /// What the end of the whole connection means for this stream. It is held against the pod once.
    fn end_of_connection(&self, error: &h2::Error) -> Cause {
        let health = &self.place.0;
        let io = error.get_io().map(std::io::Error::kind);
        if error.is_reset() {
            // Of this stream alone, by us: the pod broke a rule there.
            Cause::Protocol
        } else if health.told.replace(true) {
            Cause::Stale
        } else if health.ended.get() == Some(Ended::Silent) || io == Some(ErrorKind::TimedOut) {
            Cause::Silent
        } else if error.is_library() {
            Cause::Protocol
        } else {
            Cause::Ended
        }
    }
}

impl<B> Stream<B>
where
    B: Body<Data = Bytes> + 'static,
{
    /// Sends a request, and its body as far as the pod takes it, until the response's head is there.
    ///
    /// The request's target is absolute, and its headers are those of HTTP/2.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Received>, SendError<B>> {
        if let Err(error) = std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await {
            self.place.0.retired.set(true);
            return Err(SendError {
                unsent: Some(request),
                ..self.error(&error)
            });
        }
        let (head, body) = request.into_parts();
        let ended = body.is_end_stream();
        let sent = self
            .sender
            .send_request(Request::from_parts(head, ()), ended);
        let (mut response, stream) = sent.map_err(|error| self.error(&error))?;
        if !ended {
            self.upload = Some(Upload {
                body: Box::pin(body),
                stream,
                waiting: Bytes::new(),
            });
        }
        let response = std::future::poll_fn(|cx| self.poll_response(&mut response, cx)).await?;
        self.place.0.heard.set(true);
        Ok(response.map(|stream| Received {
            stream,
            health: self.place.0.clone(),
            data_ended: false,
        }))
    }

    fn poll_response(
        &mut self,
        response: &mut ResponseFuture,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, SendError<B>>> {
        if let Poll::Ready(Err(Broken)) = self.poll_upload(cx) {
            return Poll::Ready(Err(SendError::new(Cause::Ended)));
        }
        while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Poll::Ready(Err(SendError::new(Cause::HeadTooLarge)));
            }
        }
        Pin::new(response)
            .poll(cx)
            .map_err(|error| self.error(&error))
    }

    /// Sends on the request's body. Ready once there is nothing more to send, or nobody to send it to.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(upload) = &mut self.upload else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(upload.poll(cx));
        self.upload = None;
        Poll::Ready(ended)
    }

    /// Goes on sending the request's body on its own, beside the response: neither waits for the other. The handle
    /// ends it when dropped.
    pub fn detach_upload(&mut self) -> Option<Detached> {
        let mut upload = self.upload.take()?;
        let task = tokio::task::spawn_local(async move {
            // What came of it is the response's to tell.
            let _ = std::future::poll_fn(|cx| upload.poll(cx)).await;
        });
        Some(Detached(task.abort_handle()))
    }
}

/// Whether the pod has said that it did not look at the request (RFC 9113 section 8.7): it may go to another pod,
/// whatever its method.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Ends an upload when dropped.
#[derive(Debug)]
pub struct Detached(tokio::task::AbortHandle);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<B: Body<Data = Bytes>> Upload<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            while !self.waiting.is_empty() {
                self.stream.reserve_capacity(self.waiting.len());
                if self.stream.capacity() == 0 {
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(_)) => continue,
                        // The stream is over: the response tells how.
                        Some(Err(_)) | None => return Poll::Ready(Ok(())),
                    }
                }
                let fits = self.stream.capacity().min(self.waiting.len());
                let part = self.waiting.split_to(fits);
                let last = self.waiting.is_empty() && self.body.is_end_stream();
                if self.stream.send_data(part, last).is_err() || last {
                    return Poll::Ready(Ok(()));
                }
            }
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.waiting = data,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            // One that cannot be sent has no stream any more.
                            let _ = self.stream.send_trailers(trailers);
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Broken));
                }
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            if let Some(data) = ready!(self.stream.poll_data(cx)) {
                let data = data.map_err(cut_short)?;
                self.health.heard.set(true);
                // It has left our hands when it is asked for: the pod may send as much again.
                self.stream.flow_control().release_capacity(data.len())?;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.data_ended = true;
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(cut_short)?;
        self.health.heard.set(true);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// A reset that says that nothing is wrong, in the middle of a response: whoever reads it on must not take it for the
/// end.
fn cut_short(error: h2::Error) -> h2::Error {
    match error.reason() {
        Some(Reason::NO_ERROR) => Reason::INTERNAL_ERROR.into(),
        _ => error,
    }
}

impl<B> fmt::Debug for Stream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").finish_non_exhaustive()
    }
}
