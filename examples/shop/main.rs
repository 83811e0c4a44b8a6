//! A shop to try podrobin with: `cart` is a server of several pods, `client` calls it and counts who answered.
//!
//! ```text
//! shop cart                       answers each request with its pod's name; HTTP/1.1 and gRPC on one port
//! shop client --rate 500          calls it, and prints a line of JSON a second: shares, failures, latency
//! ```
//!
//! The demo of `deploy/kind` and the tests on a real node run it as pods.

mod cart;
mod client;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// A server of several pods, and a client that counts which of them answered.
#[derive(Debug, Parser)]
#[command(name = "shop", version)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    Cart(cart::Options),
    Client(client::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let end = match Arguments::parse().part {
        Part::Cart(options) => cart::run(options).await,
        Part::Client(options) => client::run(options).await,
    };
    end.unwrap_or_else(|error| {
        eprintln!("shop: {error}");
        ExitCode::FAILURE
    })
}

/// Waits for SIGTERM or Ctrl-C.
async fn told_to_end() -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
