//! The client: a load that does not slow down when answers do, and a count of what came of each request.
//!
//! Each lane has a connection and a share of the rate. Over keep-alive a lane has one request on its way at a time; over
//! gRPC, and with a connection for each request, as many as are due.

mod lane;
mod tally;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Uri;
use tokio::task::LocalSet;
use tokio::time::{Instant, interval_at, sleep};

use lane::Lane;
use tally::{Tally, now};

/// Calls the cart at a steady rate and prints a line of JSON for each interval and one for all.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the cart is; a sidecar's address is taken from the environment where podrobin has set it
    #[arg(env = "PODROBIN_CART_URL", default_value = "http://cart:8080")]
    url: Uri,

    #[arg(long, env = "CLIENT_MANNER", value_enum, default_value_t = Manner::KeepAlive)]
    manner: Manner,

    /// Requests a second, over all connections
    #[arg(long, env = "CLIENT_RATE", default_value_t = 100.0)]
    rate: f64,

    /// Kept-alive connections
    #[arg(long, env = "CLIENT_CONNECTIONS", default_value_t = 1)]
    connections: u32,

    /// How long; 0 means until it is told to end
    #[arg(long, env = "CLIENT_SECONDS", default_value_t = 0)]
    seconds: u64,

    /// Seconds to go on for after SIGTERM, as an app that has work to finish
    #[arg(long, env = "CLIENT_DRAIN", default_value_t = 0)]
    drain: u64,

    /// Seconds between two lines
    #[arg(long, default_value_t = 1)]
    every: u64,

    /// Seconds after which a request without an answer has failed
    #[arg(long, env = "CLIENT_TIMEOUT", default_value_t = 15)]
    timeout: u64,

    /// The method; of those that change something a proxy may repeat none that a pod may have seen
    #[arg(long, default_value = "GET")]
    method: http::Method,

    /// End with code 1 if a request has failed
    #[arg(long)]
    fail: bool,

    /// End well as soon as so many pods have answered equally often between two lines, and with code 1 if they have not
    /// when the time is up
    #[arg(long, value_name = "PODS")]
    even: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Manner {
    /// HTTP/1.1 on kept-alive connections
    KeepAlive,
    /// gRPC, all calls of a connection on one HTTP/2 connection
    Grpc,
    /// HTTP/1.1 with a new connection for each request
    New,
}

pub async fn run(options: Options) -> io::Result<ExitCode> {
    if options.rate <= 0.0
        || options.rate > 100_000.0
        || options.connections == 0
        || options.every == 0
    {
        return Err(io::Error::other(
            "--rate has to be above 0 and at most 100000, --connections and --every at least 1",
        ));
    }
    LocalSet::new().run_until(load(options)).await
}

async fn load(options: Options) -> io::Result<ExitCode> {
    let options = Rc::new(options);
    print(&serde_json::json!({"time": now(), "started": true, "url": options.url.to_string()}))?;
    let tally = Rc::new(Tally::new());
    let gap = Duration::from_secs_f64(1.0 / options.rate);
    let start = Instant::now();
    for number in 0..options.connections {
        let lane = Lane::new(Rc::clone(&options), Rc::clone(&tally));
        tokio::task::spawn_local(lane.run(start + gap * number, gap * options.connections));
    }

    let every = Duration::from_secs(options.every);
    let mut lines = interval_at(start + every, every);
    let ends = end(&options);
    tokio::pin!(ends);
    let mut even = options.even.is_none();
    loop {
        tokio::select! {
            _ = lines.tick() => {
                let spread = tally.is_even(options.even);
                print(&tally.line())?;
                if spread {
                    even = true;
                    break;
                }
            }
            ended = &mut ends => {
                ended?;
                break;
            }
        }
    }
    tally.stop();
    // Those on their way still count.
    let last = Instant::now() + Duration::from_secs(options.timeout);
    while tally.on_their_way() > 0 && Instant::now() < last {
        sleep(Duration::from_millis(10)).await;
    }
    // Telling the total takes it.
    let failed = !even || options.fail && tally.has_failures();
    print(&tally.total())?;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn end(options: &Options) -> io::Result<()> {
    let told = async {
        crate::told_to_end().await?;
        sleep(Duration::from_secs(options.drain)).await;
        Ok(())
    };
    if options.seconds == 0 {
        return told.await;
    }
    tokio::select! {
        told = told => told,
        () = sleep(Duration::from_secs(options.seconds)) => Ok(()),
    }
}

fn print(line: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
