//! Flags of limits per pod.

use clap::Args;

use crate::config::{Overload, PodRequests};
use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct OverloadArgs {
    /// Most requests in flight at one pod from this sidecar: a pod that has as many is passed over. A number, or what
    /// the pod's latency says it can do: adaptive[:min=N,max=N] (3 and 1000). By default no limit. An upgraded
    /// connection is no request in flight any more. docs/overload.md
    #[arg(long, env = "PODROBIN_MAX_POD_REQUESTS", value_name = "LIMIT")]
    pub max_pod_requests: Option<PodRequests>,

    /// Most connections to one pod from this sidecar, all workers together: at least as many as --workers. A pod whose
    /// connections are all busy is passed over, as a full one. Tunnels count. By default no limit. docs/overload.md
    #[arg(
        long,
        env = "PODROBIN_MAX_POD_CONNECTIONS",
        value_name = "N",
        value_parser = value::count::<1, 1_000_000>
    )]
    pub max_pod_connections: Option<usize>,

    /// Requests that wait for room, per listener, while each pod has as much as it may be given; 0 answers 503 at once.
    /// It is about full pods: for want of any pod --max-held is the bound
    #[arg(
        long,
        env = "PODROBIN_PENDING",
        value_name = "N",
        default_value_t = Overload::default().pending,
        value_parser = value::count::<0, 1_000_000>
    )]
    pub pending: usize,

    /// How long a request waits for room before it is answered 503. Clients' patience should be several times as much
    #[arg(
        long,
        env = "PODROBIN_PENDING_TIMEOUT",
        value_name = "TIME",
        default_value_t = Span(Overload::default().pending_timeout),
        value_parser = value::positive
    )]
    pub pending_timeout: Span,
}
