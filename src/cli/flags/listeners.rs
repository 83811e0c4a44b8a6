//! What the process listens on, and with how many threads.

use std::net::SocketAddr;

use clap::Args;

use crate::value;

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
