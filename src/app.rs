//! The composition root: everything is made here, bound, joined, run until told, and drained.
//!
//! ```text
//! control thread: discovery ─> membership ─> snapshots;  admin;  signals
//! worker threads: listener ─> proxy ─> pods               (one of each per target)
//! ```

mod line;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use crate::access_log::AccessLog;
use crate::admin::{self, AdminState};
use crate::admission::Limit;
use crate::config::{Config, Source, TlsWhen};
use crate::discovery::file::FileError;
use crate::discovery::{file, vantage};
use crate::drain::{self, Vital};
use crate::kube_client::{KubeClient, KubeError, Tuning};
use crate::proxy::PARTING;
use crate::readiness::Readiness;
use crate::upstream_tls::{self, UpstreamTls};
use crate::worker::Worker;
use crate::{net, pem, signals};

use line::{Line, server_name};

/// Why the program ends with an error. One line each, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address} for {what}: {}", net::mend_bind(.source))]
    Listen {
        what: String,
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error("cannot use --endpoint-slices {}: {source}", path.display())]
    File { path: PathBuf, source: FileError },
    #[error(transparent)]
    Tls(#[from] pem::FileError),
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error(
        "drain ended after {seconds} s with {requests} requests unfinished (--drain sets how long they may take)"
    )]
    DrainTimeout { seconds: u64, requests: usize },
    /// A part that must run for ever has not: better to be started again than to serve on with an old list.
    #[error("a part of the program ended by itself; the log above may say why")]
    Broken,
    #[error("ended at once by a second signal, with {requests} requests unfinished")]
    Killed { requests: usize },
}

/// How long the last lines of the access log may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// How long the tunnels that a drain's end closes may take, all together.
const CLOSING: Duration = PARTING.saturating_mul(2);

/// Everything bound, nothing running yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    lines: Vec<Line>,
    admin: std::net::TcpListener,
    kube: Option<KubeClient>,
    /// The files of TLS to pods, where there are any and they are needed.
    tls: Option<upstream_tls::Source>,
}

/// What is bounded over all targets.
#[derive(Debug)]
struct Bounds {
    requests: Arc<Limit>,
    upgrades: Arc<Limit>,
}

impl Bounds {
    fn new(config: &Config) -> Self {
        Self {
            requests: Limit::new(config.limits.requests),
            upgrades: Limit::new(config.limits.upgrades),
        }
    }
}

/// Runs `podrobin run` until signals end it.
pub fn run(config: Config) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stops = signals::count()?;
        App::build(config).await?.run(stops).await
    })
}

impl App {
    /// Binds every listener and checks every source. Nothing is served before [`run`](Self::run).
    pub async fn build(config: Config) -> Result<Self, Error> {
        let admin = net::listen(config.admin, 1)
            .map_err(|source| Error::listen("--admin", config.admin, source))?
            .remove(0);
        for target in &config.targets {
            if let Source::File { path, service } = &target.source {
                let selection = vantage::selection(&config.pod);
                file::read(path, service.as_ref(), &selection).map_err(|source| Error::File {
                    path: path.clone(),
                    source,
                })?;
            }
        }
        let tls = match (&config.upstream_tls.files, config.upstream_tls.when) {
            (Some(files), TlsWhen::Auto | TlsWhen::On) => {
                Some(upstream_tls::Source::open(files.into())?)
            }
            _ => None,
        };
        let lines = config
            .targets
            .iter()
            .map(|target| {
                let tls = UpstreamTls {
                    when: config.upstream_tls.when,
                    current: tls.as_ref().map(upstream_tls::Source::current),
                    server_name: server_name(target, &config),
                };
                Line::bind(target, config.workers.get(), tls)
            })
            .collect::<Result<_, _>>()?;
        let watches = config
            .targets
            .iter()
            .any(|target| matches!(target.source, Source::Service(_)));
        let kube = match watches {
            true => Some(KubeClient::connect(&config.kube, Tuning::default()).await?),
            false => None,
        };
        Ok(Self {
            config,
            lines,
            admin,
            kube,
            tls,
        })
    }

    /// Where requests are taken, for each target in the order of the configuration.
    pub fn listeners(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.lines.iter().map(|line| (&*line.name, line.listen))
    }

    /// Where the admin endpoints are.
    pub fn admin(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stops` counts one, then drains; at two it ends at once.
    pub async fn run(self, mut stops: watch::Receiver<u32>) -> Result<(), Error> {
        let readiness = Readiness::default();
        let bounds = Bounds::new(&self.config);
        let (log, log_writer) = match self.config.access_log {
            Some(format) => {
                AccessLog::start(format).map(|(log, writer)| (Some(log), Some(writer)))?
            }
            None => (None, None),
        };
        let started_gate = readiness.gate("workers listening");
        let mut tasks = JoinSet::new();
        let mut workers: Vec<Vec<_>> = (0..self.config.workers.get()).map(|_| Vec::new()).collect();
        let mut views = Vec::new();
        let admin_address = self.admin()?;
        if let Some(files) = self.tls {
            tasks.spawn(files.follow());
        }
        for line in self.lines {
            info!(
                listener = "proxy",
                address = %line.listen,
                target = &*line.name,
                policy = %line.target.policy,
                "listening"
            );
            let (shared, view) = line.join(
                &self.config,
                self.kube.as_ref(),
                &readiness,
                &bounds,
                &log,
                &mut tasks,
            );
            for (worker, listener) in workers.iter_mut().zip(line.listeners) {
                worker.push((listener, shared.clone()));
            }
            views.push(view);
        }
        let (trigger, signal) = drain::channel();
        let (broken_in, mut broken) = mpsc::channel(1);
        let vital = Vital {
            drain: signal,
            broken: broken_in,
        };
        let (alive, all_ended) = drain::guards();
        let connections = Limit::new(self.config.limits.connections);
        let mut runtimes = vec![Handle::current().metrics()];
        for (index, listeners) in workers.into_iter().enumerate() {
            let worker = Worker {
                index,
                listeners,
                connections: connections.clone(),
                vital: vital.clone(),
                alive: alive.clone(),
            };
            runtimes.push(worker.spawn()?);
        }
        drop((alive, log));
        info!(listener = "admin", address = %admin_address, "listening");
        let admin = tokio::net::TcpListener::from_std(self.admin)?;
        let state = AdminState {
            started: SystemTime::now(),
            pod: self.config.pod.clone(),
            readiness: readiness.clone(),
            targets: views,
            runtimes,
        };
        tasks.spawn(admin::serve(admin, state, std::future::pending::<()>()));

        started_gate.open();

        tokio::select! {
            // Nobody left to tell us to stop is as good as being told.
            _ = stops.wait_for(|stops| *stops > 0) => {}
            Some(_) = tasks.join_next() => return Err(Error::Broken),
            Some(()) = broken.recv() => return Err(Error::Broken),
        }
        let _draining = readiness.gate("draining");
        let Bounds { requests, upgrades } = bounds;
        info!(
            requests = requests.used(),
            connections = connections.used(),
            upgraded = upgrades.used(),
            "draining"
        );
        trigger.drain();
        let drain = self.config.timeouts.drain;
        let drained = async {
            let mut all_ended = pin!(all_ended.all_gone());
            if timeout(drain, &mut all_ended).await.is_ok() {
                return Ok(());
            }
            // Tunnels have no end of their own to wait for, so that ending them leaves nothing unfinished.
            // Counted before they are told: they may be over before this thread runs again.
            let (requests, tunnels) = (requests.used(), upgrades.used());
            trigger.close();
            let closed = tunnels > 0 && timeout(CLOSING, all_ended).await.is_ok();
            match closed && requests == 0 {
                true => Ok(()),
                false => Err(Error::DrainTimeout {
                    seconds: drain.as_secs(),
                    requests,
                }),
            }
        };
        let outcome = tokio::select! {
            outcome = drained => outcome,
            Ok(_) = stops.wait_for(|stops| *stops > 1) => Err(Error::Killed { requests: requests.used() }),
        };
        if let Some(writer) = log_writer {
            writer.finish(LOG_FLUSH);
        }
        if outcome.is_ok() {
            info!("drained: every request has been answered");
        }
        outcome
    }
}

impl Error {
    fn listen(what: impl Into<String>, address: SocketAddr, source: io::Error) -> Self {
        Self::Listen {
            what: what.into(),
            address,
            source,
        }
    }
}
