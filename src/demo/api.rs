//! An in-memory Kubernetes API for EndpointSlices and Services: get, list and watch over real HTTP.
//!
//! ```text
//! Api::apply / delete ──> Store (versions, history) ──> answer ──> list, pages, watch events, bookmarks
//! ```
//! It answers as kube-apiserver does where a client can tell: chunks cut anywhere, `null` for empty endpoints and ports,
//! list items without a kind, bookmarks with nothing but a version, and 410 once history has been compacted. It asks for
//! no credentials and looks at none.

mod answer;
mod request;
mod selector;
mod store;
mod watching;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use store::{Kind, Store};

/// Client connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 4_096;

/// How long a connection may take over a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long accepting rests after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A response's body: whole, in chunks, or a watch that goes on.
pub type ApiBody = UnsyncBoxBody<Bytes, Infallible>;

/// The API. Clones share what is in it.
#[derive(Clone, Debug)]
pub struct Api {
    store: Arc<Mutex<Store>>,
    /// The newest version; watches wait on it.
    version: Arc<watch::Sender<u64>>,
    bookmark_interval: Duration,
}

/// What an API does not take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    #[error("the in-memory API holds {0} objects already")]
    Full(usize),
}

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}

impl Api {
    pub fn new() -> Self {
        let store = Store::default();
        Self {
            version: Arc::new(watch::Sender::new(store.version())),
            store: Arc::new(Mutex::new(store)),
            bookmark_interval: Duration::from_secs(60),
        }
    }

    /// How often a watch that asked for bookmarks gets one. A real API server sends one about every minute.
    #[must_use]
    pub fn bookmark_every(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval;
        self
    }

    /// Creates or replaces a slice.
    ///
    /// # Errors
    /// A slice without a name or namespace, or an API that is full.
    pub fn apply_slice(&self, slice: &EndpointSlice) -> Result<(), Rejected> {
        self.apply(Kind::EndpointSlice, slice)
    }

    /// Creates or replaces a Service.
    ///
    /// # Errors
    /// A Service without a name or namespace, or an API that is full.
    pub fn apply_service(&self, service: &Service) -> Result<(), Rejected> {
        self.apply(Kind::Service, service)
    }

    /// Deletes a slice; whether there was one.
    pub fn delete_slice(&self, namespace: &str, name: &str) -> bool {
        self.delete(Kind::EndpointSlice, namespace, name)
    }

    /// Deletes a Service, not its slices; whether there was one.
    pub fn delete_service(&self, namespace: &str, name: &str) -> bool {
        self.delete(Kind::Service, namespace, name)
    }

    /// Forgets all history, as etcd does every five minutes: whoever watches from an older version gets a 410.
    pub fn compact(&self) {
        self.store().compact();
    }

    fn apply(&self, kind: Kind, object: &impl serde::Serialize) -> Result<(), Rejected> {
        let version = self.store().apply(kind, object)?;
        self.version.send_replace(version);
        Ok(())
    }

    fn delete(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let Some(version) = self.store().delete(kind, namespace, name) else {
            return false;
        };
        self.version.send_replace(version);
        true
    }

    /// Serves `listener` until dropped; its connections end with it.
    pub async fn serve(self, listener: TcpListener) {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = free.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("the in-memory API cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let api = self.clone();
            connections.spawn(async move {
                let _place = place;
                // As kube-apiserver: a watch event must not wait for the one before it to be acknowledged.
                let _ = stream.set_nodelay(true);
                let service = service_fn(|request| {
                    let api = api.clone();
                    async move { Ok::<_, Infallible>(api.answer(&request)) }
                });
                // A client that breaks off is no news here.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    /// Answers one request; its body is not looked at.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<ApiBody> {
        answer::answer(self, request.method(), request.uri())
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Each change is made whole or not at all.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
