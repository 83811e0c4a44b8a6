//! The real sidecar in this process, on a thread of its own as in a process of its own.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;

use tokio::sync::{oneshot, watch};

use super::manifest::{NAMESPACE, PORT, SERVICE};
use crate::app::{self, App};
use crate::cli::{self, Surroundings};
use crate::config::Config;

/// More than one, so that the shares are those of the rotation that all workers have in common.
const WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// By then every client has left.
const DRAIN: &str = "2s";

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// Where it takes requests.
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    stops: watch::Sender<u32>,
    thread: thread::JoinHandle<Result<(), app::Error>>,
}

/// Why there is no sidecar.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its flags: {0}")]
    Flags(String),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error("no thread for it: {0}")]
    Thread(std::io::Error),
    #[error("its thread has died")]
    Died,
}

impl Sidecar {
    /// Starts one with these flags of `podrobin run`, which watches the demo's Service at the API server `server`.
    ///
    /// # Errors
    /// Where it cannot listen or connect.
    pub async fn start(server: SocketAddr, flags: &[&str]) -> Result<Self, Error> {
        let config = config(server, flags)?;
        let (stops, stops_seen) = watch::channel(0);
        let (bound_in, bound) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("sidecar".to_owned())
            .spawn(move || run(config, stops_seen, bound_in))
            .map_err(Error::Thread)?;
        match bound.await {
            Ok((proxy, admin)) => Ok(Self {
                proxy,
                admin,
                stops,
                thread,
            }),
            // It ended before it had listeners, and says why.
            Err(_) => Err(joined(thread).await.err().unwrap_or(Error::Died)),
        }
    }

    /// Drains it, as SIGTERM would.
    ///
    /// # Errors
    /// Where the drain did not end in time.
    pub async fn stop(self) -> Result<(), Error> {
        self.stops.send_replace(1);
        joined(self.thread).await
    }
}

async fn joined(thread: thread::JoinHandle<Result<(), app::Error>>) -> Result<(), Error> {
    let joined = tokio::task::spawn_blocking(|| thread.join()).await;
    match joined {
        Ok(Ok(ended)) => Ok(ended?),
        _ => Err(Error::Died),
    }
}

fn run(
    config: Config,
    stops: watch::Receiver<u32>,
    bound: oneshot::Sender<(SocketAddr, SocketAddr)>,
) -> Result<(), app::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = App::build(config).await?;
        let admin = app.admin()?;
        if let Some((_, proxy)) = app.listeners().next() {
            // Nobody waits for it any more: then nobody stops it either, and it ends by itself.
            let _ = bound.send((proxy, admin));
        }
        app.run(stops).await
    })
}

/// As the command line would have it.
fn config(server: SocketAddr, flags: &[&str]) -> Result<Config, Error> {
    let service = format!("{NAMESPACE}/{SERVICE}:{PORT}");
    let mut given = vec!["--service", &service, "--drain", DRAIN];
    given.extend(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    given.extend(flags);
    let surroundings = Surroundings {
        namespace: None,
        workers: WORKERS,
    };
    let mut config = cli::run_config(&given, &surroundings)
        .map_err(|refusal| Error::Flags(refusal.to_string()))?;
    let server = http::Uri::builder()
        .scheme("http")
        .authority(server.to_string())
        .path_and_query("/")
        .build()
        .map_err(|error| app::Error::Start(std::io::Error::other(error)))?;
    config.kube.server = Some(server);
    Ok(config)
}
