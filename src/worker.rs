//! A worker: a thread with a runtime, a listener and connections of its own.
//!
//! Workers share nothing on the way of a request but the balancer's cursor and a few counters.

mod client_io;
mod connection;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, LocalOptions, RuntimeMetrics};
use tracing::{info, warn};

use crate::admission::Limit;
use crate::drain::{self, Vital};
use crate::error::Kind;
use crate::net;
use crate::proxy::{self, Proxy};
use crate::stats::{Count, TargetStats};
use connection::Connection;

/// What one worker serves: a listener for each target.
#[derive(Debug)]
pub struct Worker {
    pub index: usize,
    pub listeners: Vec<(std::net::TcpListener, proxy::Shared)>,
    /// Client connections, over all workers and targets.
    pub connections: Arc<Limit>,
    pub vital: Vital,
    /// Dropped once everything has ended.
    pub alive: drain::Guard,
}

/// How long to wait when the process or the host is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    /// Starts the thread; returns what counts its tasks once its listeners are served. It ends after a drain, when the
    /// last connection has closed.
    pub fn spawn(self) -> io::Result<RuntimeMetrics> {
        // The runtime is bound to its thread, so it is made there, and whether it could be is told back.
        let (made, was_made) = sync_channel(1);
        thread::Builder::new()
            .name(format!("worker-{}", self.index))
            .spawn(move || {
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                let failed = match runtime {
                    Ok(runtime) => runtime.block_on(self.run(&made)).err(),
                    Err(error) => Some(error),
                };
                if let Some(error) = failed {
                    let _ = made.send(Err(error));
                }
            })?;
        was_made.recv().map_err(io::Error::other)?
    }

    /// Serves until the drain is over. Fails, before it has told `made`, where a listener can't be served.
    async fn run(self, made: &SyncSender<io::Result<RuntimeMetrics>>) -> io::Result<()> {
        let listeners: Vec<_> = self
            .listeners
            .into_iter()
            .map(|(listener, shared)| Ok((TcpListener::from_std(listener)?, shared)))
            .collect::<io::Result<_>>()?;
        let (guard, all) = drain::guards();
        for (listener, shared) in listeners {
            let proxy = Proxy::new(&shared, self.index);
            let following = proxy.clone().follow(shared.snapshots.clone());
            let vital = self.vital.clone();
            tokio::task::spawn_local(async move {
                following.await;
                drop(vital);
            });
            let acceptor = Acceptor {
                listener,
                proxy,
                shared,
                index: self.index,
                connections: self.connections.clone(),
                vital: self.vital.clone(),
                guard: guard.clone(),
            };
            tokio::task::spawn_local(acceptor.run());
        }
        drop(guard);
        let _ = made.send(Ok(Handle::current().metrics()));
        all.all_gone().await;
        drop(self.alive);
        Ok(())
    }
}

/// Takes the client connections of one listener.
struct Acceptor {
    listener: TcpListener,
    proxy: Rc<Proxy>,
    shared: proxy::Shared,
    index: usize,
    connections: Arc<Limit>,
    vital: Vital,
    guard: drain::Guard,
}

impl Acceptor {
    /// Accepts until the drain begins, then what the kernel has queued, then closes the listener.
    async fn run(mut self) {
        let mut starved = false;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = self.listener.accept() => accepted,
                () = self.vital.drain.draining() => {
                    // The kernel may have more than the event loop has heard of; a close would reset it.
                    while let Some((stream, peer)) = net::accept_now(&self.listener) {
                        self.take(stream, peer);
                    }
                    return;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    if starved {
                        info!(target = &*self.shared.target, "accepts connections again");
                        starved = false;
                    }
                    self.take(stream, peer);
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    if !starved {
                        warn!(target = &*self.shared.target, %error, "cannot accept connections; trying on");
                        starved = true;
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: std::net::SocketAddr) {
        let connection = Connection::new(stream, peer, self.proxy.clone(), &self.shared.settings);
        let permit = self.connections.enter();
        let drain = self.vital.drain.clone();
        let counters = self.shared.stats.shard(self.index);
        counters.add(Count::ConnectionOpened);
        if permit.is_none() {
            counters.add(Count::ConnectionRefused);
        }
        let open = Open {
            stats: self.shared.stats.clone(),
            worker: self.index,
            _guard: self.guard.clone(),
        };
        tokio::task::spawn_local(async move {
            // Dropped with the task, however that ends.
            let _open = open;
            if permit.is_some() {
                connection.serve(drain).await;
            } else {
                connection
                    .refuse(Kind::Overload, "too many connections")
                    .await;
            }
        });
    }
}

/// A client's connection, counted until dropped.
struct Open {
    stats: Arc<TargetStats>,
    worker: usize,
    _guard: drain::Guard,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stats.shard(self.worker).add(Count::ConnectionClosed);
    }
}

/// Errors of accept(2) that concern the connection alone: it had gone before it was taken.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
