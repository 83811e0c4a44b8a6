//! The composition root: everything is made here, bound, joined, run until told, and drained.
//!
//! ```text
//! control thread: discovery ─> membership ─> snapshots;  admin;  signals
//! worker threads: listener ─> proxy ─> pods               (one of each per target)
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use crate::access_log::AccessLog;
use crate::admin::{self, AdminState, TargetView};
use crate::admission::{Limit, Pending};
use crate::config::{Config, Policy, Source, Target, TlsWhen};
use crate::discovery::file::FileError;
use crate::discovery::{Outlet, Status, UPDATE_QUEUE, file, fixed, vantage, watch as kube_watch};
use crate::drain::{self, Vital};
use crate::health_check::{Checker, REPORT_QUEUE};
use crate::kube_client::{KubeClient, KubeError, Tuning};
use crate::membership::{Choice, FACT_QUEUE, Inlets, Membership, Rooms};
use crate::metrics::TargetMetrics;
use crate::proxy::{self, PARTING, Settings};
use crate::readiness::Readiness;
use crate::stats::TargetStats;
use crate::upstream_tls::{self, UpstreamTls};
use crate::worker::Worker;
use crate::{net, pem, signals};

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

/// A target with its bound listeners, one for each worker.
#[derive(Debug)]
struct Line {
    target: Target,
    name: Arc<str>,
    listen: SocketAddr,
    listeners: Vec<std::net::TcpListener>,
    tls: UpstreamTls,
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

impl Line {
    fn bind(target: &Target, workers: usize, tls: UpstreamTls) -> Result<Self, Error> {
        let listen = |source| {
            let what = format!("{} (--listen, or LISTEN= of --service)", target.name());
            Error::listen(what, target.listen, source)
        };
        let listeners = net::listen(target.listen, workers).map_err(listen)?;
        let bound = listeners[0].local_addr().map_err(listen)?;
        Ok(Self {
            name: target.name().into(),
            listen: bound,
            listeners,
            target: target.clone(),
            tls,
        })
    }

    /// Joins source, membership and the two sides that read its snapshots: workers and admin.
    fn join(
        &self,
        config: &Config,
        kube: Option<&KubeClient>,
        readiness: &Readiness,
        bounds: &Bounds,
        log: &Option<AccessLog>,
        tasks: &mut JoinSet<()>,
    ) -> (proxy::Shared, TargetView) {
        let workers = config.workers.get();
        let stats = Arc::new(TargetStats::new(workers));
        let metrics = Arc::new(TargetMetrics::default());
        let overload = &config.overload;
        let rooms = overload.is_on().then(|| Rooms {
            requests: overload.pod_requests,
            connections: overload.pod_connections,
            pending: match overload.pod_connections {
                Some(_) => Pending::of_workers(overload.pending, workers),
                None => Pending::new(overload.pending),
            },
        });
        let pending = rooms.as_ref().map(|rooms| rooms.pending.clone());
        let (membership, snapshots) = Membership::new(
            self.name.to_string(),
            Choice {
                policy: self.target.policy.clone(),
                subset: config.subset.clone(),
                slow_start: config.slow_start,
                health_check: config.health_check.clone(),
                ejection: config.ejection,
                outliers: config.outliers,
                panic_threshold: config.panic_threshold,
                rooms,
            },
            workers,
            stats.clone(),
            metrics.clone(),
            Instant::now(),
        );
        let (updates_in, updates) = mpsc::channel(UPDATE_QUEUE);
        let (facts_in, facts) = mpsc::channel(FACT_QUEUE);
        let (status_in, status) = watch::channel(Status::starting(SystemTime::now()));
        let outlet = Outlet {
            updates: updates_in,
            status: status_in,
        };
        let gate = readiness.gate(format!("first endpoint list of {}", self.name));
        let (reports_in, reports) = mpsc::channel(REPORT_QUEUE);
        let inlets = Inlets {
            updates,
            facts,
            reports,
        };
        tasks.spawn(membership.run(inlets, gate));
        if let Some(check) = &config.health_check {
            let checker = Checker {
                check: check.clone(),
                protocol: config.upstream_protocol,
                tls: self.tls.clone(),
                reports: reports_in,
            };
            tasks.spawn(checker.run(snapshots.clone()));
        }
        self.discover(config, kube, outlet, tasks);
        let shared = proxy::Shared {
            target: self.name.clone(),
            settings: Settings {
                limits: config.limits.clone(),
                timeouts: config.timeouts.clone(),
                pending_timeout: config.overload.pending_timeout,
                retry: config.retry.clone(),
                failures: config.failures.clone(),
                upstream_protocol: config.upstream_protocol,
                upstream_tls: self.tls.clone(),
                hash_key: match &self.target.policy {
                    Policy::Hash(key) => Some(key.clone()),
                    _ => None,
                },
            },
            stats: stats.clone(),
            requests: bounds.requests.clone(),
            upgrades: bounds.upgrades.clone(),
            held: Limit::new(config.limits.held),
            pending,
            snapshots: snapshots.clone(),
            status: status.clone(),
            facts: facts_in,
            access_log: log.clone(),
            default_host: self.default_host(),
            workers,
        };
        let view = TargetView {
            name: self.name.to_string(),
            listen: self.listen,
            policy: self.target.policy.clone(),
            snapshots,
            status,
            stats,
            metrics,
        };
        (shared, view)
    }

    fn discover(
        &self,
        config: &Config,
        kube: Option<&KubeClient>,
        outlet: Outlet,
        tasks: &mut JoinSet<()>,
    ) {
        match (&self.target.source, kube) {
            (Source::Fixed(pods), _) => {
                tasks.spawn(fixed::run(pods.clone(), outlet));
            }
            (Source::File { path, service }, _) => {
                let selection = vantage::selection(&config.pod);
                tasks.spawn(file::run(path.clone(), service.clone(), selection, outlet));
            }
            (Source::Service(service), Some(kube)) => {
                tasks.spawn(kube_watch::run(
                    kube.clone(),
                    service.clone(),
                    config.pod.clone(),
                    outlet,
                ));
            }
            // `build` connects wherever a Service is watched.
            (Source::Service(_), None) => {}
        }
    }

    /// What HTTP/1.0 clients that name no host are taken to mean.
    fn default_host(&self) -> HeaderValue {
        let host = match &self.target.source {
            Source::Service(service) => format!("{}.{}", service.name, service.namespace),
            Source::Fixed(_) | Source::File { .. } => self.listen.to_string(),
        };
        HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static("localhost"))
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

/// What the certificates of a target's pods must be for.
fn server_name(target: &Target, config: &Config) -> Option<ServerName<'static>> {
    let given = config.upstream_tls.server_name.clone();
    given.or_else(|| match &target.source {
        Source::Service(service) => {
            ServerName::try_from(format!("{}.{}.svc", service.name, service.namespace)).ok()
        }
        Source::Fixed(_) | Source::File { .. } => None,
    })
}
