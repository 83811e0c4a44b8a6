//! The demo: everything podrobin does, on one machine without a cluster.
//!
//! ```text
//! story ──> deployment ──> api ══ list, watch ══> sidecar <══ load
//!               └────────> toy pods <═══ requests ═══┘ └═ /state ═> view
//! ```
//! The sidecar is the real one, watching a real HTTP server through the real Kubernetes client. Only the API server
//! and the pods are toys, and all of it stays on loopback.

pub mod api;
pub mod deployment;
pub mod load;
pub mod manifest;
pub mod pod;
pub mod report;
pub mod shares;
pub mod sidecar;
pub mod stage;
pub mod state;
pub mod story;
pub mod view;

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use api::Api;
use deployment::{Deployment, Leave};
use load::Load;
use report::Report;
use sidecar::Sidecar;
use stage::Stage;
use story::Act;
use view::Screen;

/// How long a toy pod takes for an answer.
const WORK: Duration = Duration::from_millis(3);

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the story takes; starting and ending come on top.
    pub duration: Duration,
    /// Pods at the beginning.
    pub pods: usize,
    /// Requests a second.
    pub rate: u32,
    /// Lines alone, even on a terminal.
    pub plain: bool,
}

/// A shorter story has no time for its scenes.
pub const SHORTEST: Duration = Duration::from_secs(3);

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--for {given:?}: give at least {}s", SHORTEST.as_secs())]
    TooShort { given: Duration },
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    #[error("the in-memory API: {0}")]
    Api(#[from] api::Rejected),
    #[error("a toy pod cannot start: {0}")]
    Pod(std::io::Error),
    #[error("the sidecar cannot start: {0}")]
    Sidecar(#[from] sidecar::Error),
    #[error("the sidecar's /state: {0}")]
    State(#[from] state::Error),
    #[error("the sidecar does not follow the list: it has {seen} in turn, the list {listed}")]
    Behind { seen: String, listed: String },
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
}

/// Shows it. `Ok(true)` means that no request failed and every share was exact.
///
/// # Errors
/// Where a part cannot start, or the sidecar does not follow the list.
pub fn run(options: Options) -> Result<bool, Error> {
    if options.duration < SHORTEST {
        return Err(Error::TooShort {
            given: options.duration,
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    runtime.block_on(play(options))
}

async fn play(options: Options) -> Result<bool, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(Error::Start)?;
    let server = listener.local_addr().map_err(Error::Start)?;
    let api = Api::new();
    tokio::spawn(api.clone().serve(listener));
    api.apply_service(&manifest::service())?;

    let publish = Box::new(move |slice| {
        if let Err(rejected) = api.apply_slice(&slice) {
            // The sidecar then does not follow, and the demo ends with that.
            tracing::error!("a slice was not taken: {rejected}");
        }
    });
    let deployment = Deployment::new(publish, WORK, fastrand::Rng::new());
    let sidecar = Sidecar::start(server).await?;
    let scaled = deployment
        .scale(options.pods, Duration::ZERO, Leave::AT_ONCE)
        .await;
    scaled.map_err(Error::Pod)?;
    stage::follow(sidecar.admin, &deployment).await?;

    let live = !options.plain && std::io::stdout().is_terminal();
    let stage = Stage {
        options,
        deployment,
        admin: sidecar.admin,
        load: Load::start(sidecar.proxy, options.rate),
        screen: RefCell::new(Screen::new(std::io::stdout(), live)),
        report: RefCell::new(Report::default()),
        began: Instant::now(),
        now: Cell::new(Act::Steady),
        before: RefCell::default(),
    };
    let scenes = story::scenes(options.duration);
    tokio::select! {
        played = stage.play(&scenes) => played?,
        drawn = stage.draw() => match drawn? {},
        // Told to stop: what was found until then is the result.
        _ = tokio::signal::ctrl_c() => {}
    }
    let holds = stage.close()?;
    sidecar.stop().await?;
    Ok(holds)
}
