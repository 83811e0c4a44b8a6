//! How much there may be of each thing.

use clap::Args;

use crate::config::Limits;
use crate::value::{self, ByteSize};

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
