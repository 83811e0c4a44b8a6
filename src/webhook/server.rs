//! The listener: connections are accepted within their limit until the drain ends, then what the kernel has queued.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::connection::Host;
use crate::drain::{Guard, Signal};
use crate::net;

/// Between two tries to accept while the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub struct Server {
    pub listener: TcpListener,
    pub host: Arc<Host>,
    /// Connections are told to end once it drains; no more are accepted once it closes.
    pub drain: Signal,
    /// Held by every connection.
    pub guard: Guard,
}

/// A connection, counted until dropped.
struct Open {
    host: Arc<Host>,
    _guard: Guard,
}

impl Server {
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(self.host.bounds.connections));
        let mut drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = self.accept(&places) => accepted,
                () = drain.closing() => break,
            };
            if let Some((stream, place)) = accepted {
                self.take(stream, async move || Some(place));
            }
        }
        // The kernel may have more than the event loop has heard of; a close would reset it.
        while let Some((stream, _)) = net::accept_now(&self.listener) {
            let places = places.clone();
            self.take(stream, async move || places.acquire_owned().await.ok());
        }
    }

    /// Past the limit, connections wait in the kernel.
    async fn accept(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, place)),
            Err(error) => {
                debug!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    fn take<F>(&self, stream: TcpStream, place: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = Option<OwnedSemaphorePermit>> + Send,
    {
        self.host.desk.metrics().connections.inc();
        let open = Open {
            host: self.host.clone(),
            _guard: self.guard.clone(),
        };
        let drain = self.drain.clone();
        tokio::spawn(async move {
            let place = place().await;
            open.host.serve(stream, drain).await;
            drop((place, open));
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.host.desk.metrics().connections_closed.inc();
    }
}
