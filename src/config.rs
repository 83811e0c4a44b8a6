//! Resolved settings: what the rest of the program reads, with nothing left to decide.

mod ejection;
mod failures;
mod grpc_codes;
mod health_check;
mod hedge;
mod orca;
mod outliers;
mod overload;
mod policy;
mod retry;
mod slow_start;
mod span;
mod statuses;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

pub use ejection::Ejection;
pub use failures::{FailureCodes, FailureStatuses, Failures};
pub use grpc_codes::{GrpcCode, GrpcCodes};
pub use health_check::{HealthCheck, NewPods, Probe, Thresholds};
pub use hedge::Hedge;
pub use orca::{ErrorPenalty, Orca};
pub use outliers::Outliers;
pub use overload::{Overload, PodRequests};
pub use policy::{HashKey, MOST_CHOICES, Policy};
pub use retry::{RetryBackoff, RetryOn, RetrySettings};
pub use slow_start::SlowStart;
pub use span::Span;
pub use statuses::{StatusRange, Statuses};

/// Everything `podrobin run` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one, each on a listener of its own.
    pub targets: Vec<Target>,
    pub admin: SocketAddr,
    pub workers: NonZeroUsize,
    pub kube: KubeAccess,
    pub pod: OwnPod,
    pub subset: Option<Subset>,
    pub slow_start: Option<SlowStart>,
    pub health_check: Option<HealthCheck>,
    pub ejection: Ejection,
    pub outliers: Option<Outliers>,
    /// With fewer percent of the pods usable all are used.
    pub panic_threshold: Option<usize>,
    pub failures: Failures,
    pub limits: Limits,
    pub overload: Overload,
    pub timeouts: Timeouts,
    pub retry: RetrySettings,
    pub upstream_protocol: UpstreamProtocol,
    pub upstream_tls: UpstreamTls,
    pub access_log: Option<LogFormat>,
}

/// One listener and where its requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub listen: SocketAddr,
    pub source: Source,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Watch the EndpointSlices of a Service.
    Service(ServiceRef),
    /// A list that never changes.
    Fixed(Vec<FixedPod>),
    /// EndpointSlice manifests in a file; `service` selects where the file holds several.
    File {
        path: PathBuf,
        service: Option<FileSelector>,
    },
}

/// `ADDR:PORT[=WEIGHT]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedPod {
    pub address: SocketAddr,
    pub weight: u32,
}

/// `NAMESPACE/NAME[:PORT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    pub namespace: String,
    pub name: String,
    pub port: PortRef,
}

/// Which slices of a file: `[NAMESPACE/]NAME[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSelector {
    pub namespace: Option<String>,
    pub name: String,
    pub port: PortRef,
}

/// Which port of the Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// The only one there is.
    Only,
    /// The Service port's name, which is also the slice port's name.
    Name(String),
    /// The Service port's number; its name is read from the Service object.
    Number(u16),
}

/// What is spoken to pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UpstreamProtocol {
    /// What the Service's port says (appProtocol); HTTP/1.1 where it says nothing.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// TLS to pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    pub when: TlsWhen,
    /// Without them there is no TLS: nothing could be checked.
    pub files: Option<TlsFiles>,
    /// What pods' certificates must be for; by default a Service's own name.
    pub server_name: Option<ServerName<'static>>,
}

/// Which pods are spoken to over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsWhen {
    /// Those whose Service's port says so (appProtocol).
    #[default]
    Auto,
    On,
    Off,
}

/// Where TLS to pods has its certificates from, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs that may sign pods' certificates.
    pub ca: PathBuf,
    pub client: Option<ClientFiles>,
}

/// The certificate shown to pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// With the chain that leads to its CA, where there is one.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How to reach the API server. In a pod, with none set, the service account is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeAccess {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// An API server that asks for no credentials, by its base address: the demo's. No flag sets it.
    pub server: Option<http::Uri>,
}

/// What is known of the pod this process runs in (Downward API).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPod {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub node: Option<String>,
    pub zone: Option<String>,
    pub ip: Option<IpAddr>,
    pub family: FamilyChoice,
}

/// How many endpoints of a target are used, and which: each sidecar has a choice of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    pub most: usize,
    /// The own pod's name.
    pub own: String,
}

/// Which family of a dual-stack Service to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FamilyChoice {
    /// The own pod's, where known; else IPv4 where the Service has any.
    #[default]
    Auto,
    Ipv4,
    Ipv6,
}

/// What one process takes on at most. Past each, the error table says what a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head, and of a response's.
    pub header_bytes: usize,
    /// Fields of a request's head.
    pub header_count: usize,
    /// Client connections, all listeners together.
    pub connections: usize,
    /// Requests in flight, all listeners together.
    pub requests: usize,
    /// Upgraded connections, all listeners together.
    pub upgrades: usize,
    /// Requests waiting for an endpoint, per listener.
    pub held: usize,
    /// Idle connections kept to one pod, per worker.
    pub idle_per_pod: usize,
    /// Idle connections kept to all pods, per worker.
    pub idle_total: usize,
    /// Bytes of a request body kept so that it can be sent again.
    pub replay_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the first moment of a connection, or the first byte of a later request, to the end of its head.
    pub header: Duration,
    /// A client connection without a request.
    pub client_idle: Duration,
    /// How long a client may keep a request waiting: for the next part of its body while no response has come, or
    /// until it takes the next part of a response.
    pub client_stall: Duration,
    /// An upstream connection over HTTP/1.1 without a request, until the pod says otherwise (`Keep-Alive: timeout=`).
    pub upstream_idle: Duration,
    /// A pod with requests in flight over HTTP/2 that gives no sign of life is given up after this.
    pub upstream_keepalive: Duration,
    /// From the request sent to the response's head; `None` waits for ever.
    pub response: Option<Duration>,
    /// From a request's head to the last byte of its response; `None` waits for ever.
    pub request: Option<Duration>,
    /// An upgraded connection on which nothing moves; `None` keeps it for ever.
    pub tunnel_idle: Option<Duration>,
    /// How long a request waits for an endpoint.
    pub hold: Duration,
    pub drain: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            // As Envoy, and all that hyper's parser takes without an allocation for each request.
            header_count: 100,
            connections: 10_000,
            requests: 10_000,
            upgrades: 1_024,
            held: 4_096,
            idle_per_pod: 256,
            idle_total: 4_096,
            replay_bytes: 64 * 1024,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            header: Duration::from_secs(10),
            client_idle: Duration::from_secs(600),
            client_stall: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(4),
            upstream_keepalive: Duration::from_secs(20),
            response: None,
            request: None,
            tunnel_idle: None,
            hold: Duration::from_secs(10),
            drain: Duration::from_secs(25),
        }
    }
}

impl Target {
    /// The name for logs, `/state` and metric labels: `shop/cart:http`, `file:PATH` or `fixed`.
    pub fn name(&self) -> String {
        match &self.source {
            Source::Service(service) => service.to_string(),
            Source::Fixed(_) => "fixed".to_owned(),
            Source::File { path, .. } => format!("file:{}", path.display()),
        }
    }
}

impl std::fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}{}", self.namespace, self.name, self.port)
    }
}

impl std::fmt::Display for PortRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Name(name) => write!(f, ":{name}"),
            Self::Number(number) => write!(f, ":{number}"),
        }
    }
}
