//! Pods that behave as they are told, and a load that does not wait for them: the two ends of `benches/peers`, with a
//! proxy in between.
//!
//! ```text
//! peers pods --pods 10        prints its port; commands come on standard input, and its end is theirs
//! peers load ADDR --rate 500  prints `begin` when the warm-up is over, and at the end one line of JSON
//! ```

mod load;
mod pods;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

/// Pods that behave as they are told, and a load that does not wait for them.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Arguments {
    #[command(subcommand)]
    end: End,
}

#[derive(Debug, Subcommand)]
enum End {
    Pods(pods::Options),
    Load(load::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let run = async {
        match Arguments::parse().end {
            End::Pods(options) => pods::run(options).await,
            End::Load(options) => load::run(options).await,
        }
    };
    match LocalSet::new().run_until(run).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
