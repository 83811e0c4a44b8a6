//! `podrobin webhook`: the admission server that puts the sidecar into pods as they are made.
//!
//! ```text
//! API server ══ TLS ══> connection ──> desk ──body──> decision: inject_pod ──patch──> answer
//!                       (pace: how long)  (how much)   (pure, on a thread of its own)
//! ```
//! A pod that cannot have a sidecar is made without one, with a warning for whoever makes it, unless `strict`; a
//! webhook that fails must not keep pods from being made either, so that everything here is bounded and nothing is
//! kept between two reviews.

mod certificate;
mod connection;
pub mod decision;
mod desk;
mod metrics;
mod pace;
pub mod review;
mod server;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::admin::{self, Common, Pages};
use crate::drain;
use crate::pem::{self, PemFile};
use crate::readiness::Readiness;
use crate::{net, signals};
use certificate::{Files, Identity};
use connection::Host;
use decision::Rules;
use desk::Desk;
use metrics::{Metrics, Scrape};
use server::Server;

pub use metrics::FAMILIES;

/// Everything `podrobin webhook` needs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// PEM, with the chain that leads to its CA, where there is one.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub rules: Rules,
    /// How long connections are still accepted after the first signal.
    pub linger: Duration,
    /// How long reviews may take to end after that.
    pub drain: Duration,
}

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at a time; further ones wait in the listener's queue.
    connections: usize,
    /// From accept to the end of the TLS handshake.
    handshake: Duration,
    /// From the first moment of a connection, or the first byte of a later request, to the end of its head.
    head: Duration,
    head_bytes: usize,
    /// From a request's head to its answer. API servers are told to wait this long (`timeoutSeconds`).
    request: Duration,
    /// Until the client has taken an answer.
    answer: Duration,
    /// Between two requests. Longer than API servers keep a connection (90 s), so that theirs is the side that closes
    /// and no request meets a close.
    idle: Duration,
    /// A review is at most twice an object, and API servers take objects of 3 MiB.
    body_bytes: usize,
    /// Up to here every connection may hold a body.
    small_body_bytes: usize,
    /// Larger bodies at a time.
    large_bodies: usize,
    /// Reviews worked on at a time.
    reviews: usize,
}

const BOUNDS: Bounds = Bounds {
    connections: 256,
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(5),
    head_bytes: 32 * 1024,
    request: Duration::from_secs(5),
    answer: Duration::from_secs(5),
    idle: Duration::from_secs(120),
    body_bytes: 4 * 1024 * 1024,
    small_body_bytes: 64 * 1024,
    large_bodies: 2,
    reviews: 4,
};

/// Between two looks at the clock: a machine may sleep, and its clock be set.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);

/// Threads for reviews, reading files and metrics.
const HELPERS: usize = 8;

/// Why the program ends with an error. One line each, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address} for {flag}: {}", net::mend_bind(.source))]
    Listen {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Certificate(#[from] pem::FileError),
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error(
        "drain ended after {seconds} s with {reviews} reviews unanswered (--drain sets how long they may take)"
    )]
    DrainTimeout { seconds: u64, reviews: u64 },
    /// Better to be started again than to go on without a part.
    #[error("a part of the program ended by itself; the log above may say why")]
    Broken,
    #[error("ended at once by a second signal, with {reviews} reviews unanswered")]
    Killed { reviews: u64 },
}

/// Everything bound, nothing running yet.
#[derive(Debug)]
struct Webhook {
    settings: Settings,
    listener: std::net::TcpListener,
    admin: std::net::TcpListener,
    files: pem::Source<Files>,
}

/// What the admin server shows.
#[derive(Debug)]
struct AdminView {
    started: SystemTime,
    readiness: Readiness,
    runtimes: Vec<RuntimeMetrics>,
    metrics: Arc<Metrics>,
    identity: watch::Receiver<Arc<Identity>>,
    files_refused: Counter,
}

/// Runs `podrobin webhook` until signals end it.
///
/// # Errors
/// Where it cannot start, or ends otherwise than by a drain in which every review was answered.
pub fn run(settings: Settings) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .build()?;
    let outcome = runtime.block_on(async {
        let stops = signals::count()?;
        Webhook::build(settings)?.run(stops).await
    });
    // A review at work on its thread has nobody left to answer.
    runtime.shutdown_background();
    outcome
}

impl Webhook {
    fn build(settings: Settings) -> Result<Self, Error> {
        let files = Files {
            certificate: PemFile::new("--tls-cert", &settings.certificate),
            key: PemFile::new("--tls-key", &settings.key),
        };
        Ok(Self {
            files: pem::Source::open(files)?,
            listener: bind("--listen", settings.listen)?,
            admin: bind("--admin", settings.admin)?,
            settings,
        })
    }

    /// Serves until `stops` counts one, then drains; at two it ends at once.
    async fn run(self, mut stops: watch::Receiver<u32>) -> Result<(), Error> {
        let Settings {
            rules,
            linger,
            drain,
            ..
        } = self.settings;
        let readiness = Readiness::default();
        let metrics = Arc::new(Metrics::default());
        let listening = readiness.gate("webhook listening");
        let identity = self.files.current();
        let strict = rules.strict;
        let (listen, admin) = (self.listener.local_addr()?, self.admin.local_addr()?);
        let view = AdminView {
            started: SystemTime::now(),
            readiness: readiness.clone(),
            runtimes: vec![Handle::current().metrics()],
            metrics: metrics.clone(),
            identity: identity.clone(),
            files_refused: self.files.refused(),
        };
        let (trigger, signal) = drain::channel();
        let (guard, all_ended) = drain::guards();
        let server = Server {
            listener: tokio::net::TcpListener::from_std(self.listener)?,
            host: Arc::new(Host {
                bounds: BOUNDS,
                identity: identity.clone(),
                desk: Desk::new(BOUNDS, rules, metrics.clone()),
                distrusted: AtomicBool::new(false),
            }),
            drain: signal,
            guard,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(self.files.follow());
        tasks.spawn(watch_expiry(identity));
        let pages = admin::serve(
            tokio::net::TcpListener::from_std(self.admin)?,
            view,
            std::future::pending::<()>(),
        );
        tasks.spawn(pages);
        info!(listener = "webhook", address = %listen, strict, "listening");
        info!(listener = "admin", address = %admin, "listening");
        let server = tokio::spawn(server.run());
        listening.open();

        let mut server = std::pin::pin!(server);
        tokio::select! {
            // Nobody left to tell us to stop is as good as being told.
            _ = stops.wait_for(|stops| *stops > 0) => {}
            Some(_) = tasks.join_next() => return Err(Error::Broken),
            _ = &mut server => return Err(Error::Broken),
        }
        let _draining = readiness.gate("draining");
        info!(reviews = metrics.open(), "draining");
        trigger.drain();
        let drained = async {
            tokio::time::sleep(linger).await;
            trigger.close();
            // Whatever is open after its time without a review is a client that dawdles.
            match timeout(drain, all_ended.all_gone()).await {
                Err(_) if metrics.open() > 0 => Err(Error::DrainTimeout {
                    seconds: drain.as_secs(),
                    reviews: metrics.open(),
                }),
                _ => Ok(()),
            }
        };
        let outcome = tokio::select! {
            outcome = drained => outcome,
            Ok(_) = stops.wait_for(|stops| *stops > 1) => Err(Error::Killed { reviews: metrics.open() }),
        };
        if outcome.is_ok() {
            info!("drained: every review has been answered");
        }
        outcome
    }
}

impl Pages for AdminView {
    const PATHS: &'static str = "podrobin webhook answers here: /livez /readyz /metrics\n";

    fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn report(&self, pending: &[String], _now: SystemTime) -> String {
        admin::readiness_answer(pending)
    }

    fn metrics(&self, _now: SystemTime) -> String {
        admin::text_of(Scrape {
            metrics: self.metrics.clone(),
            not_after: self.identity.borrow().not_after,
            files_refused: self.files_refused.clone(),
            common: Common::read(self.started, &self.readiness, &self.runtimes),
        })
    }

    fn state(&self, _now: SystemTime) -> Option<serde_json::Result<Vec<u8>>> {
        None
    }
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, Error> {
    let listen = |source| Error::Listen {
        flag,
        address,
        source,
    };
    Ok(net::listen(address, 1).map_err(listen)?.remove(0))
}

/// Says of each certificate when it has run out: no API server trusts it any more, and pods get no sidecar.
async fn watch_expiry(mut identity: watch::Receiver<Arc<Identity>>) {
    loop {
        let not_after = identity.borrow_and_update().not_after;
        let expired = async {
            let Some(not_after) = not_after else {
                return std::future::pending().await;
            };
            while let Some(left) = until(not_after) {
                tokio::time::sleep(left.min(LOOK_AT_CLOCK)).await;
            }
        };
        tokio::select! {
            () = expired => warn!("the certificate of --tls-cert has run out: API servers do not trust it, and pods get no sidecar"),
            changed = identity.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return std::future::pending().await,
            },
        }
        if identity.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// How long until then; `None` once it is over.
fn until(seconds: u64) -> Option<Duration> {
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    // A time that no clock can show never comes.
    let Some(then) = then else {
        return Some(Duration::MAX);
    };
    then.duration_since(SystemTime::now())
        .ok()
        .filter(|left| !left.is_zero())
}
