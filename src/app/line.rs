//! A target with what serves it: its listeners, source, membership, checks, and the two sides that read snapshots.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Bounds, Error};
use crate::access_log::AccessLog;
use crate::admin::TargetView;
use crate::admission::{Limit, Pending};
use crate::config::{Config, Policy, Source, Target};
use crate::discovery::{Outlet, Status, UPDATE_QUEUE, file, fixed, vantage, watch as kube_watch};
use crate::health_check::{Checker, REPORT_QUEUE};
use crate::kube_client::KubeClient;
use crate::membership::{Choice, FACT_QUEUE, Inlets, Membership, Rooms};
use crate::metrics::TargetMetrics;
use crate::net;
use crate::proxy::{self, Settings};
use crate::readiness::Readiness;
use crate::stats::TargetStats;
use crate::upstream_tls::UpstreamTls;

/// A target with its bound listeners, one for each worker.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) target: Target,
    pub(super) name: Arc<str>,
    pub(super) listen: SocketAddr,
    pub(super) listeners: Vec<std::net::TcpListener>,
    tls: UpstreamTls,
}

impl Line {
    pub(super) fn bind(target: &Target, workers: usize, tls: UpstreamTls) -> Result<Self, Error> {
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
    pub(super) fn join(
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

/// What the certificates of a target's pods must be for.
pub(super) fn server_name(target: &Target, config: &Config) -> Option<ServerName<'static>> {
    let given = config.upstream_tls.server_name.clone();
    given.or_else(|| match &target.source {
        Source::Service(service) => {
            ServerName::try_from(format!("{}.{}.svc", service.name, service.namespace)).ok()
        }
        Source::Fixed(_) | Source::File { .. } => None,
    })
}
