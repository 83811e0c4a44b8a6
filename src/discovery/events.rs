//! The events of the slices, from kube's watcher, with waits after errors.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Sleep, sleep};

use crate::config::ServiceRef;
use crate::kube_client::{KubeClient, Pace, Session};

use super::slices::SliceObject;
use super::trouble::{Asked, Asker, Kind, Trouble};

/// Which Service a slice belongs to. This label alone decides (KEP-752).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An endless source of events. Never gives up; waits as the session's pace says.
pub(super) struct Events {
    api: Api<SliceObject>,
    config: watcher::Config,
    stream: BoxStream<'static, watcher::Result<Event<SliceObject>>>,
    pace: Arc<Pace>,
    wait: Option<Pin<Box<Sleep>>>,
    asker: Asker,
}

impl Events {
    pub(super) fn new(client: &KubeClient, session: &Session, service: &ServiceRef) -> Self {
        let api = Api::namespaced(session.client.clone(), &service.namespace);
        let tuning = client.tuning();
        let config = watcher::Config::default()
            .labels(&format!("{SERVICE_NAME}={}", service.name))
            .page_size(tuning.page_size)
            .timeout(fastrand::u32(tuning.watch_seconds.clone()));
        Self {
            stream: watcher(api.clone(), config.clone()).boxed(),
            api,
            config,
            pace: session.pace.clone(),
            wait: None,
            asker: Asker {
                client: client.clone(),
                asked: Asked::EndpointSlices,
                namespace: service.namespace.clone(),
            },
        }
    }

    /// The next event, or what went wrong; the next call after that waits first. May be dropped at any moment without
    /// losing anything.
    pub(super) async fn next(&mut self) -> Result<Event<SliceObject>, Trouble> {
        if let Some(wait) = &mut self.wait {
            wait.await;
            self.wait = None;
        }
        loop {
            match self.stream.next().await {
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let trouble = self.asker.watch_trouble(&error);
                    if calls_for_list(&error, &trouble) {
                        self.start_over();
                    }
                    self.wait();
                    return Err(trouble);
                }
                // kube's watcher does not end.
                None => self.start_over(),
            }
        }
    }

    /// The next event if it is there already.
    pub(super) fn ready(&mut self) -> Option<Result<Event<SliceObject>, Trouble>> {
        self.next().now_or_never()
    }

    /// Lists anew, after a wait as after an error: what came could not be taken.
    pub(super) fn list_anew(&mut self) {
        self.start_over();
        self.wait();
    }

    fn wait(&mut self) {
        let wait = self.pace.after_error(fastrand::f64());
        self.wait = Some(Box::pin(sleep(wait)));
    }

    fn start_over(&mut self) {
        self.stream = watcher(self.api.clone(), self.config.clone()).boxed();
    }
}

/// Whether only a new list can help; kube's watcher itself would go on where it was.
fn calls_for_list(error: &watcher::Error, trouble: &Trouble) -> bool {
    match error {
        // As a status and not as an event, which some proxies make of it, kube asks for the same version for ever.
        watcher::Error::WatchStartFailed(_) => trouble.kind == Kind::Gone,
        // Whatever the event said is lost.
        watcher::Error::WatchFailed(_) if trouble.kind == Kind::Unreadable => true,
        // A server that refuses in the middle does not go on, whether or not it closes.
        watcher::Error::WatchError(_) | watcher::Error::WatchFailed(kube::Error::Api(_)) => true,
        // Cut off: the next watch goes on from the last event that came.
        watcher::Error::WatchFailed(_) => false,
        watcher::Error::InitialListFailed(_) | watcher::Error::NoResourceVersion => false,
    }
}
