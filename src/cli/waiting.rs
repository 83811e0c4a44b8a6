//! Flags of the commands that wait: for a sidecar's start and end, in an image without a shell.

use std::net::SocketAddr;

use clap::Args;

use crate::value::{self, Span};

#[derive(Args, Clone, Debug)]
pub struct AwaitArgs {
    /// Where that podrobin has its admin server, as its own flag and variable say
    #[arg(
        long,
        env = "PODROBIN_ADMIN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:9800",
        value_parser = value::listen
    )]
    pub admin: SocketAddr,

    /// When to give up, with exit code 1
    #[arg(
        long,
        env = "PODROBIN_AWAIT_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = value::positive
    )]
    pub timeout: Span,
}

#[derive(Args, Clone, Debug)]
pub struct SleepArgs {
    /// How long
    #[arg(value_name = "TIME", value_parser = value::positive)]
    pub time: Span,
}
