//! The guard around every request to the API server: deadlines, bounds, pacing, and the pulse.
//!
//! kube's own client waits for ever for a response's head and for a list's body, keeps what it reads without bound,
//! and starts a watch that ended at once again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use kube::client::Body as RequestBody;
use tokio::sync::watch;
use tower::{BoxError, Service, ServiceExt};

use super::body::GuardedBody;
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
    #[error("a list with a page of more than {0} bytes")]
    LongPage(usize),
    #[error("a list of more than {LIST_PAGES} pages")]
    ManyPages,
    #[error("an object of more than {0} bytes")]
    LongObject(usize),
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
    Object,
}

impl Ask {
    fn of(query: &str) -> Self {
        let mut watch = false;
        let mut list = false;
        let mut first = true;
        let mut own_time = Duration::MAX;
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "watch" => watch = matches!(value, "1" | "true"),
                "limit" => list = true,
                "continue" => first = value.is_empty(),
                "timeoutSeconds" => own_time = value.parse().map_or(own_time, Duration::from_secs),
                _ => {}
            }
        }
        if watch {
            Self::Watch { own_time }
        } else if list {
            Self::Page { first }
        } else {
            Self::Object
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
            Ask::Object => {}
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
        if !status.is_success() {
            return GuardedBody::of_refusal(body, &self);
        }
        match ask {
            Ask::Watch { own_time } => GuardedBody::of_watch(body, &self, own_time),
            Ask::Page { .. } => GuardedBody::of_page(body, &self),
            Ask::Object => GuardedBody::of_object(body, &self),
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

    pub(super) fn take(&self, bytes: usize, most: usize) -> Result<(), Refusal> {
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
        assert_eq!(Ask::of("limit=500&watch=false"), Ask::Page { first: true });
        assert_eq!(Ask::of(""), Ask::Object);
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
