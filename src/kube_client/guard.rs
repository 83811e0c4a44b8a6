//! The guard around every request to the API server: deadlines, bounds, pacing, and the pulse.
//!
//! kube's own client waits for ever for a response's head and for a list's body, keeps what it reads without bound,
//! and starts a watch that ended at once again at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use kube::client::Body as RequestBody;
use tokio::sync::watch;
use tower::{BoxError, Service, ServiceExt};

use super::{Pace, Pulse, Stack, Tuning};

/// Pages of one list at most: a server whose pages never end is broken.
const LIST_PAGES: usize = 1_000;

/// What a request failed by on our side.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no answer in {} s", .0.as_secs_f32())]
    NoHead(Duration),
    #[error("a list that is not complete after {} s", .0.as_secs_f32())]
    SlowBody(Duration),
    #[error("a list of more than {0} bytes")]
    LongList(usize),
    #[error("a list of more than {LIST_PAGES} pages")]
    ManyPages,
    #[error("a watch event of more than {0} bytes")]
    LongEvent(usize),
}

/// Guards the requests of one session.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub stack: Stack,
    pub tuning: Arc<Tuning>,
    pub pace: Arc<Pace>,
    pub pulse: Arc<watch::Sender<Pulse>>,
    pub list: Arc<ListSize>,
}

/// How much of the present list has come, all its pages together.
#[derive(Debug, Default)]
pub(super) struct ListSize {
    bytes: AtomicUsize,
    pages: AtomicUsize,
}

/// What a request asks for, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Watch { own_time: Duration },
    Page { first: bool },
}

impl Ask {
    fn of(query: &str) -> Self {
        let mut watch = false;
        let mut first = true;
        let mut own_time = Duration::MAX;
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "watch" => watch = matches!(value, "1" | "true"),
                "continue" => first = value.is_empty(),
                "timeoutSeconds" => own_time = value.parse().map_or(own_time, Duration::from_secs),
                _ => {}
            }
        }
        if watch {
            Self::Watch { own_time }
        } else {
            Self::Page { first }
        }
    }
}

impl Service<Request<RequestBody>> for Guard {
    type Response = Response<GuardedBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl Guard {
    async fn send(self, request: Request<RequestBody>) -> Result<Response<GuardedBody>, BoxError> {
        let ask = Ask::of(request.uri().query().unwrap_or_default());
        match ask {
            Ask::Watch { .. } => {
                if let Some(wait) = self.pace.before_watch(fastrand::f64()) {
                    tokio::time::sleep(wait).await;
                }
            }
            Ask::Page { first } => self.list.start_page(first)?,
        }
        let head = self.tuning.head;
        let response = tokio::time::timeout(head, self.stack.clone().oneshot(request))
            .await
            .map_err(|_| Refusal::NoHead(head))??;
        if let Some(wait) = retry_after(&response) {
            self.pace.retry_after(wait);
        }
        let status = response.status();
        Ok(response.map(|body| self.guard_body(ask, status, body)))
    }

    fn guard_body(self, ask: Ask, status: StatusCode, body: Incoming) -> GuardedBody {
        let reading = match ask {
            Ask::Watch { own_time } if status.is_success() => {
                Reading::Watch(WatchReading::open(&self, own_time))
            }
            // The body of a refusal is read whole, as a list is.
            Ask::Watch { .. } | Ask::Page { .. } => Reading::Page {
                deadline: Box::pin(tokio::time::sleep(self.tuning.body)),
                list: self.list,
                pulse: status.is_success().then_some(self.pulse),
            },
        };
        GuardedBody {
            body,
            reading,
            tuning: self.tuning,
        }
    }
}

impl ListSize {
    fn start_page(&self, first: bool) -> Result<(), Refusal> {
        if first {
            self.bytes.store(0, Relaxed);
            self.pages.store(0, Relaxed);
        }
        if self.pages.fetch_add(1, Relaxed) >= LIST_PAGES {
            return Err(Refusal::ManyPages);
        }
        Ok(())
    }

    fn take(&self, bytes: usize, most: usize) -> Result<(), Refusal> {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > most {
            return Err(Refusal::LongList(most));
        }
        Ok(())
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    if response.status().is_success() {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// A response body that is bounded in time and size, and says when its bytes come.
#[derive(Debug)]
pub(super) struct GuardedBody {
    body: Incoming,
    reading: Reading,
    tuning: Arc<Tuning>,
}

#[derive(Debug)]
enum Reading {
    Page {
        deadline: Pin<Box<tokio::time::Sleep>>,
        list: Arc<ListSize>,
        /// A refusal's bytes say nothing about the list.
        pulse: Option<Arc<watch::Sender<Pulse>>>,
    },
    Watch(WatchReading),
    Over,
}

/// An open watch. Its end is told when this is dropped, whoever ends it.
#[derive(Debug)]
struct WatchReading {
    opened: Instant,
    own_time: Duration,
    /// Bytes since the last line's end.
    line: usize,
    pace: Arc<Pace>,
    pulse: Arc<watch::Sender<Pulse>>,
}

impl WatchReading {
    fn open(guard: &Guard, own_time: Duration) -> Self {
        let opened = Instant::now();
        guard.pulse.send_modify(|pulse| {
            pulse.last_byte = Some((opened, SystemTime::now()));
            pulse.watches += 1;
            pulse.open = true;
        });
        Self {
            opened,
            own_time,
            line: 0,
            pace: guard.pace.clone(),
            pulse: guard.pulse.clone(),
        }
    }

    fn take(&mut self, data: &[u8], most: usize) -> Result<(), Refusal> {
        self.pulse.send_modify(Pulse::beat);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.line += piece.len();
            if self.line > most {
                return Err(Refusal::LongEvent(most));
            }
            if piece.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(())
    }
}

impl Drop for WatchReading {
    fn drop(&mut self) {
        self.pace.watch_ended(self.opened.elapsed(), self.own_time);
        self.pulse.send_modify(|pulse| pulse.open = false);
    }
}

impl GuardedBody {
    fn poll_guarded(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Reading::Page { deadline, .. } = &mut self.reading
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Refusal::SlowBody(self.tuning.body).into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        if let Some(data) = frame.data_ref() {
            match &mut self.reading {
                Reading::Watch(watch) => watch.take(data, self.tuning.event_bytes)?,
                Reading::Page { list, pulse, .. } => {
                    if let Some(pulse) = pulse {
                        // Nobody waits for a list's bytes one by one.
                        pulse.send_if_modified(|pulse| {
                            pulse.beat();
                            false
                        });
                    }
                    list.take(data.len(), self.tuning.list_bytes)?;
                }
                Reading::Over => {}
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_guarded(cx));
        if !matches!(frame, Some(Ok(_))) {
            // Told now and not when the reader gets round to dropping the body.
            this.reading = Reading::Over;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_watches_from_lists_by_their_query() {
        assert_eq!(
            Ask::of("&watch=true&timeoutSeconds=160&resourceVersion=7"),
            Ask::Watch {
                own_time: Duration::from_secs(160)
            }
        );
        assert_eq!(Ask::of("&limit=500"), Ask::Page { first: true });
        assert_eq!(
            Ask::of("limit=500&continue=abc"),
            Ask::Page { first: false }
        );
        assert_eq!(Ask::of("watch=false"), Ask::Page { first: true });
    }

    #[test]
    fn pages_without_end_are_refused_until_a_new_list_begins() {
        let list = ListSize::default();
        list.start_page(true).unwrap();
        for _ in 1..LIST_PAGES {
            list.start_page(false).unwrap();
        }
        assert!(list.start_page(false).is_err());
        assert!(list.start_page(true).is_ok());
    }
}
