//! Where pods are found, and how the next one is chosen.

use clap::{ArgAction, Args};

use crate::config::{FixedPod, UpstreamProtocol};
use crate::value::{self, FileArg, PolicyArg, ServiceArg};

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
