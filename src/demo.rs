//! The demo: what podrobin does, on one machine without a cluster. A story of pods that come and go, or a comparison of
//! what each setting makes of a pod in trouble.
//!
//! ```text
//! story ──> deployment ──> api ══ list, watch ══> sidecar <══ load
//!               └────────> toy pods <═══ requests ═══┘ └═ /state ═> view
//! ```
//! The sidecar is the real one, watching a real HTTP server through the real Kubernetes client. Only the API server
//! and the pods are toys, and all of it stays on loopback.

pub mod api;
pub mod comparison;
pub mod deployment;
pub mod findings;
pub mod load;
pub mod manifest;
pub mod pod;
pub mod report;
pub mod shares;
pub mod sidecar;
pub mod stage;
pub mod state;
pub mod story;
pub mod times;
pub mod trouble;
pub mod view;

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use api::Api;
use comparison::Comparison;
use deployment::{Deployment, Leave};
use load::{Load, Traffic};
use pod::Manner;
use report::Report;
use sidecar::Sidecar;
use stage::Stage;
use story::Act;
use trouble::Trouble;
use view::Screen;

use crate::cli::flags::Scene;
use crate::config::Span;

/// How long a toy pod of the story takes for an answer.
const WORK: Duration = Duration::from_millis(3);

/// Pods of the story, and of a comparison, where nobody says how many.
const USUAL_PODS: usize = 3;
const USUAL_PODS_COMPARED: usize = 10;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub scene: Scene,
    /// How long it takes; starting and ending come on top.
    pub duration: Duration,
    /// Pods at the beginning, if they are not to be as many as the scene has usually.
    pub pods: Option<usize>,
    /// Requests a second.
    pub rate: u32,
    /// Lines alone, even on a terminal.
    pub plain: bool,
}

/// A shorter story has no time for its parts.
pub const SHORTEST: Duration = Duration::from_secs(3);

/// A shorter comparison has no time for what a sidecar has to find out under each setting.
pub const SHORTEST_COMPARISON: Duration = Duration::from_secs(8);

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--for {}: give at least {}", Span(*.given), Span(*.least))]
    TooShort { given: Duration, least: Duration },
    #[error("--pods {given}: give at least {least} in this scene")]
    TooFewPods { given: usize, least: usize },
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

/// Shows it. `Ok(true)` means that all was as promised: in the story no request failed and every share was exact.
///
/// # Errors
/// Where a part cannot start, or the sidecar does not follow the list.
pub fn run(options: Options) -> Result<bool, Error> {
    let trouble = Trouble::of(options.scene);
    let (least, least_pods, usual_pods) = match trouble {
        None => (SHORTEST, 1, USUAL_PODS),
        Some(trouble) => (
            SHORTEST_COMPARISON,
            trouble.least_pods(),
            USUAL_PODS_COMPARED,
        ),
    };
    let given = options.duration;
    if given < least {
        return Err(Error::TooShort { given, least });
    }
    let pods = options.pods.unwrap_or(usual_pods);
    if pods < least_pods {
        return Err(Error::TooFewPods {
            given: pods,
            least: least_pods,
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    runtime.block_on(async {
        match trouble {
            None => tell(options, pods).await,
            Some(trouble) => compare(trouble, options, pods).await,
        }
    })
}

/// The story: pods come and go.
async fn tell(options: Options, pods: usize) -> Result<bool, Error> {
    let (server, deployment) = pods_behind_an_api(WORK).await?;
    let sidecar = Sidecar::start(server, &[]).await?;
    let scaled = deployment.scale(pods, Duration::ZERO, Leave::AT_ONCE).await;
    scaled.map_err(Error::Pod)?;
    stage::follow(sidecar.admin, &deployment).await?;

    let live = !options.plain && std::io::stdout().is_terminal();
    let stage = Stage {
        duration: options.duration,
        pods,
        rate: options.rate,
        deployment,
        admin: sidecar.admin,
        load: Load::start(sidecar.proxy, Traffic::patient(options.rate)),
        screen: RefCell::new(Screen::new(std::io::stdout(), live)),
        report: RefCell::new(Report::default()),
        began: Instant::now(),
        now: Cell::new(Act::Steady),
        before: RefCell::default(),
    };
    let scenes = story::scenes(options.duration);
    tokio::select! {
        // First, so that it is listened to before the first line is out.
        biased;
        // Told to stop: what was found until then is the result.
        _ = tokio::signal::ctrl_c() => {}
        played = stage.play(&scenes) => played?,
        drawn = stage.draw() => match drawn? {},
    }
    let holds = stage.close()?;
    sidecar.stop().await?;
    Ok(holds)
}

/// The comparison: one pod is in trouble, under one setting after the other.
async fn compare(trouble: Trouble, options: Options, pods: usize) -> Result<bool, Error> {
    let (server, deployment) = pods_behind_an_api(trouble::WORK).await?;
    let scaled = deployment.scale(pods, Duration::ZERO, Leave::AT_ONCE).await;
    scaled.map_err(Error::Pod)?;
    let settings = u32::try_from(trouble.settings().len()).unwrap_or(u32::MAX);
    let comparison = Comparison {
        trouble,
        server,
        deployment,
        rate: options.rate,
        lasts: options.duration / settings.max(1),
        screen: RefCell::new(Screen::new(std::io::stdout(), false)),
        seen: RefCell::default(),
        began: Instant::now(),
    };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        played = comparison.play() => played?,
    }
    comparison.close()
}

/// The in-memory API, and a deployment without pods that it tells of.
async fn pods_behind_an_api(work: Duration) -> Result<(SocketAddr, Deployment), Error> {
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
    let deployment = Deployment::new(publish, Manner::Answers(work), fastrand::Rng::new());
    Ok((server, deployment))
}
