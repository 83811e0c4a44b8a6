//! The flags of each command as clap sees them; `resolve` makes settings of them.
//!
//! Every flag has a variable in the environment, `PODROBIN_` and its name. Defaults come from [`crate::config`].

mod demo;
mod ejection;
mod failures;
mod health_check;
mod outliers;
mod overload;
mod retry;
mod slow_start;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use rustls::pki_types::ServerName;

use crate::config::{
    FamilyChoice, FixedPod, Limits, LogFormat, Timeouts, TlsWhen, UpstreamProtocol,
};
use crate::telemetry::{self, Filter};
use crate::value::{self, ByteSize, FileArg, Patience, PolicyArg, ServiceArg, Span};

pub use demo::{DemoArgs, Scene};
pub use ejection::EjectionArgs;
pub use failures::FailureArgs;
pub use health_check::HealthCheckArgs;
pub use outliers::OutlierArgs;
pub use overload::OverloadArgs;
pub use retry::RetryArgs;
pub use slow_start::SlowStartArgs;

#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten, next_help_heading = "Endpoints")]
    pub endpoints: EndpointArgs,
    #[command(flatten, next_help_heading = "TLS to pods")]
    pub tls: TlsArgs,
    #[command(flatten, next_help_heading = "Listeners")]
    pub listeners: ListenerArgs,
    #[command(flatten, next_help_heading = "Timeouts")]
    pub timeouts: TimeoutArgs,
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub health_check: HealthCheckArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub slow_start: SlowStartArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub ejection: EjectionArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub outliers: OutlierArgs,
    #[command(flatten, next_help_heading = "Health")]
    pub failures: FailureArgs,
    #[command(flatten, next_help_heading = "Limits per pod")]
    pub overload: OverloadArgs,
    #[command(flatten, next_help_heading = "Retries")]
    pub retries: RetryArgs,
    #[command(flatten, next_help_heading = "Kubernetes")]
    pub kubernetes: KubernetesArgs,
    #[command(flatten, next_help_heading = "Logs")]
    pub logs: LogArgs,
    #[command(flatten, next_help_heading = "Logs")]
    pub access_log: AccessLogArgs,
}

#[derive(Args, Clone, Debug)]
pub struct EndpointArgs {
    /// Service whose ready pods get the requests, such as shop/cart:http. PORT is the Service's port name or
    /// number, and may be left out where there is one only; NAMESPACE defaults to this pod's own. Repeat the flag
    /// (or separate with commas) for more Services, each on a listener of its own: 127.0.0.1:9001=shop/pay:http,
    /// or 9001=shop/pay:http for short. Without LISTEN, --listen is used
    #[arg(
        long = "service",
        env = "PODROBIN_SERVICE",
        value_name = "[LISTEN=][NAMESPACE/]NAME[:PORT]",
        value_delimiter = ',',
        action = ArgAction::Append
    )]
    pub services: Vec<ServiceArg>,

    /// Fixed list of pods on --listen instead of a Service, for use without a cluster. WEIGHT is for --policy
    /// weighted (1 where it is left out); one of 0 gets requests only while there is no other
    #[arg(
        long = "endpoint",
        env = "PODROBIN_ENDPOINT",
        value_name = "ADDR:PORT[=WEIGHT]",
        value_delimiter = ',',
        action = ArgAction::Append,
        value_parser = value::endpoint
    )]
    pub endpoints: Vec<FixedPod>,

    /// EndpointSlice manifests (YAML or JSON) on --listen instead of a Service, re-read when the file changes. Name
    /// the Service where the file holds slices of several
    #[arg(
        long,
        env = "PODROBIN_ENDPOINT_SLICES",
        value_name = "FILE[#[NAMESPACE/]NAME[:PORT]]"
    )]
    pub endpoint_slices: Option<FileArg>,

    /// What is spoken to pods: what the Service's port says by its appProtocol (HTTP/1.1 where it says nothing), or
    /// the same to all
    #[arg(long, env = "PODROBIN_UPSTREAM_PROTOCOL", value_enum, default_value_t)]
    pub upstream_protocol: UpstreamProtocol,

    /// How the next pod is chosen: round-robin, random, least-request[:choices=N], peak-ewma[:decay=TIME], weighted,
    /// weighted:orca[:OPTION=VALUE], hash:header=NAME, hash:cookie=NAME, hash:path or hash:source. docs/policies.md says which to choose. With a
    /// Service in front, such as shop/pay=least-request, it is for that one alone; repeat the flag (or separate with
    /// commas)
    #[arg(
        long = "policy",
        env = "PODROBIN_POLICY",
        value_name = "[[NAMESPACE/]NAME[:PORT]=]POLICY",
        value_delimiter = ',',
        action = ArgAction::Append,
        default_value = "round-robin"
    )]
    pub policies: Vec<PolicyArg>,

    /// Most pods of a Service to use, for Services with hundreds: each sidecar takes a choice of its own, by --pod-name,
    /// so that connections stay few and all pods get as many. By default all
    #[arg(
        long,
        env = "PODROBIN_MAX_ENDPOINTS",
        value_name = "N",
        value_parser = value::count::<1, 100_000>
    )]
    pub max_endpoints: Option<usize>,
}

#[derive(Args, Clone, Debug)]
pub struct TlsArgs {
    /// Which pods are spoken to over TLS: those whose Service's port says so by its appProtocol (https, grpcs, h2,
    /// kubernetes.io/wss, tls, ssl), all, or none
    #[arg(long, env = "PODROBIN_UPSTREAM_TLS", value_enum, default_value_t)]
    pub upstream_tls: TlsWhen,

    /// CA certificates (PEM), one of which must have signed a pod's certificate. TLS to pods needs it; there is no
    /// way to go without the check. This file and the next two are re-read when they change
    #[arg(long, env = "PODROBIN_UPSTREAM_CA", value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// Name (or IP address) that pods' certificates must be for, by default the Service's: NAME.NAMESPACE.svc.
    /// --endpoint and --endpoint-slices have no default
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_SERVER_NAME",
        value_name = "NAME",
        value_parser = value::server_name
    )]
    pub upstream_server_name: Option<ServerName<'static>>,

    /// Certificate (PEM, with its chain) to show to pods that ask for one; with --upstream-client-key
    #[arg(long, env = "PODROBIN_UPSTREAM_CLIENT_CERT", value_name = "FILE")]
    pub upstream_client_cert: Option<PathBuf>,

    /// Private key (PEM, not encrypted) of --upstream-client-cert
    #[arg(long, env = "PODROBIN_UPSTREAM_CLIENT_KEY", value_name = "FILE")]
    pub upstream_client_key: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct ListenerArgs {
    /// Where the app sends its requests: an address and port, or a port on 127.0.0.1. On loopback only this pod
    /// may use it
    #[arg(
        long,
        env = "PODROBIN_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8000",
        value_parser = value::listen
    )]
    pub listen: SocketAddr,

    /// Where /livez, /readyz, /metrics and /state answer (read-only)
    #[arg(
        long,
        env = "PODROBIN_ADMIN",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:9800",
        value_parser = value::listen
    )]
    pub admin: SocketAddr,

    /// Worker threads. By default the CPU limit of the container, rounded up; 2 where there is no limit; never more
    /// than there are CPUs
    #[arg(
        long,
        env = "PODROBIN_WORKERS",
        value_name = "N",
        value_parser = value::count::<1, 256>
    )]
    pub workers: Option<usize>,
}

#[derive(Args, Clone, Debug)]
pub struct TimeoutArgs {
    /// Connecting to a pod
    #[arg(
        long,
        env = "PODROBIN_CONNECT_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().connect),
        value_parser = value::positive
    )]
    pub connect_timeout: Span,

    /// Reading a request's head, its first byte included
    #[arg(
        long,
        env = "PODROBIN_HEADER_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().header),
        value_parser = value::positive
    )]
    pub header_timeout: Span,

    /// Keeping a client's connection without a request
    #[arg(
        long,
        env = "PODROBIN_CLIENT_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().client_idle),
        value_parser = value::positive
    )]
    pub client_idle_timeout: Span,

    /// How long a client may keep a request waiting: for the next part of its body while there is no response yet, or
    /// until it takes the next part of a response. Bodies of gRPC requests may take any time
    #[arg(
        long,
        env = "PODROBIN_CLIENT_STALL",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().client_stall),
        value_parser = value::positive
    )]
    pub client_stall: Span,

    /// Keeping a connection to a pod without a request, unless the pod says how long it keeps it
    /// (Keep-Alive: timeout=)
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().upstream_idle)
    )]
    pub upstream_idle_timeout: Span,

    /// Giving up a pod that has requests in flight over HTTP/2 and shows no sign of life
    #[arg(
        long,
        env = "PODROBIN_UPSTREAM_KEEPALIVE",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().upstream_keepalive),
        value_parser = value::positive
    )]
    pub upstream_keepalive: Span,

    /// From a request sent to the head of its response, or off
    #[arg(
        long,
        env = "PODROBIN_RESPONSE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().response)
    )]
    pub response_timeout: Patience,

    /// From a request's head to the last byte of its response, or off
    #[arg(
        long,
        env = "PODROBIN_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().request)
    )]
    pub request_timeout: Patience,

    /// Keeping an upgraded connection (WebSocket and others) on which nothing moves, or off
    #[arg(
        long,
        env = "PODROBIN_TUNNEL_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value_t = Patience(Timeouts::default().tunnel_idle)
    )]
    pub tunnel_idle_timeout: Patience,

    /// How long a request waits while there is no endpoint, before it is answered 503; 0 answers at once
    #[arg(
        long,
        env = "PODROBIN_HOLD",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().hold)
    )]
    pub hold: Span,

    /// How long requests in flight may take to end after SIGTERM, and upgraded connections may go on
    #[arg(
        long,
        env = "PODROBIN_DRAIN",
        value_name = "TIME",
        default_value_t = Span(Timeouts::default().drain)
    )]
    pub drain: Span,
}

#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Bytes of a request's head, and of a response's
    #[arg(
        long,
        env = "PODROBIN_MAX_HEADER_BYTES",
        value_name = "BYTES",
        default_value_t = ByteSize(Limits::default().header_bytes),
        value_parser = value::bytes::<{ 8 * 1024 }, { 1024 * 1024 }>
    )]
    pub max_header_bytes: ByteSize,

    /// Header fields of a request
    #[arg(
        long,
        env = "PODROBIN_MAX_HEADER_COUNT",
        value_name = "N",
        default_value_t = Limits::default().header_count,
        value_parser = value::count::<1, 1_000>
    )]
    pub max_header_count: usize,

    /// Client connections
    #[arg(
        long,
        env = "PODROBIN_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = Limits::default().connections,
        value_parser = value::count::<1, 1_000_000>
    )]
    pub max_connections: usize,

    /// Requests in flight
    #[arg(
        long,
        env = "PODROBIN_MAX_REQUESTS",
        value_name = "N",
        default_value_t = Limits::default().requests,
        value_parser = value::count::<1, 1_000_000>
    )]
    pub max_requests: usize,

    /// Upgraded connections (WebSocket and others); 0 for none
    #[arg(
        long,
        env = "PODROBIN_MAX_UPGRADES",
        value_name = "N",
        default_value_t = Limits::default().upgrades,
        value_parser = value::count::<0, 1_000_000>
    )]
    pub max_upgrades: usize,

    /// Requests that wait for an endpoint, per listener
    #[arg(
        long,
        env = "PODROBIN_MAX_HELD",
        value_name = "N",
        default_value_t = Limits::default().held,
        value_parser = value::count::<0, 1_000_000>
    )]
    pub max_held: usize,

    /// Idle connections kept to one pod, per worker
    #[arg(
        long,
        env = "PODROBIN_MAX_IDLE_PER_POD",
        value_name = "N",
        default_value_t = Limits::default().idle_per_pod,
        value_parser = value::count::<0, 100_000>
    )]
    pub max_idle_per_pod: usize,

    /// Idle connections kept to all pods, per worker
    #[arg(
        long,
        env = "PODROBIN_MAX_IDLE",
        value_name = "N",
        default_value_t = Limits::default().idle_total,
        value_parser = value::count::<0, 100_000>
    )]
    pub max_idle: usize,

    /// Bytes of a request's body kept so that it can be sent again; a longer body is never sent twice
    #[arg(
        long,
        env = "PODROBIN_MAX_REPLAY_BYTES",
        value_name = "BYTES",
        default_value_t = ByteSize(Limits::default().replay_bytes),
        value_parser = value::bytes::<0, { 16 * 1024 * 1024 }>
    )]
    pub max_replay_bytes: ByteSize,
}

#[derive(Args, Clone, Debug)]
pub struct KubernetesArgs {
    /// Kubeconfig file, for use outside a pod; in a pod the service account is used
    #[arg(long, env = "PODROBIN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of --kubeconfig, if not its current one
    #[arg(long, env = "PODROBIN_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// This pod's namespace, by default the service account's (fieldRef metadata.namespace)
    #[arg(
        long,
        env = "PODROBIN_NAMESPACE",
        value_name = "NAME",
        value_parser = |text: &str| value::label(text, "namespace")
    )]
    pub namespace: Option<String>,

    /// This pod's name (fieldRef metadata.name)
    #[arg(long, env = "PODROBIN_POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// This pod's address, which decides the family of a dual-stack Service (fieldRef status.podIP)
    #[arg(long, env = "PODROBIN_POD_IP", value_name = "ADDR")]
    pub pod_ip: Option<IpAddr>,

    /// This pod's node, for topology hints and internalTrafficPolicy: Local (fieldRef spec.nodeName)
    #[arg(long, env = "PODROBIN_NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// This pod's zone, for topology hints; by default that of the endpoints on its node (fieldRef
    /// metadata.labels['topology.kubernetes.io/zone'])
    #[arg(long, env = "PODROBIN_ZONE", value_name = "NAME")]
    pub zone: Option<String>,

    /// Addresses to use of a dual-stack Service
    #[arg(long, env = "PODROBIN_ADDRESS_FAMILY", value_enum, default_value_t)]
    pub address_family: FamilyChoice,
}

#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Format of the log on standard error
    #[arg(long, env = "PODROBIN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: off, error, warn, info, debug or trace for podrobin itself, or directives such as
    /// podrobin::discovery=debug,kube=info
    #[arg(
        long,
        env = "PODROBIN_LOG_LEVEL",
        value_name = "LEVEL",
        default_value_t
    )]
    pub log_level: Filter,
}

#[derive(Args, Clone, Debug)]
pub struct AccessLogArgs {
    /// A line for each request on standard output
    #[arg(
        long,
        env = "PODROBIN_ACCESS_LOG",
        value_enum,
        default_value_t = AccessLogArg::Off
    )]
    pub access_log: AccessLogArg,
}

impl LogArgs {
    pub fn settings(&self) -> telemetry::Settings {
        telemetry::Settings {
            format: self.log_format,
            filter: self.log_level.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLogArg {
    Off,
    Text,
    Json,
}
