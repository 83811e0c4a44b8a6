//! The demo: what podrobin does, on one machine without a cluster. A story of pods that come and go, or a comparison of
//! what each setting makes of pods in trouble.
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
pub mod places;
pub mod pod;
pub mod report;
pub mod settings;
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
use trouble::{Bounds, Trouble};
use view::Screen;

use crate::cli::flags::Scene;
use crate::config::Span;

/// How long a toy pod of the story takes for an answer.
const WORK: Duration = Duration::from_millis(3);

/// Pods of the story, where nobody says how many.
const PODS: Bounds<usize> = Bounds {
    least: 1,
    usual: 3,
    most: 50,
};

/// Requests a second, where nobody says how many.
const USUAL_RATE: u32 = 500;
const RATE: Bounds<u32> = Bounds {
    least: 1,
    usual: USUAL_RATE,
    most: 20_000,
};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub scene: Scene,
    /// How long it takes; starting and ending come on top.
    pub duration: Duration,
    /// Pods at the beginning, if they are not to be as many as the scene has usually.
    pub pods: Option<usize>,
    /// Requests a second, if they are not to be as many as the scene has usually.
    pub rate: Option<u32>,
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
    #[error("{flag} {given}: give at least {least} in this scene")]
    TooLittle {
        flag: &'static str,
        given: String,
        least: String,
    },
    #[error("{flag} {given}: give at most {most} in this scene")]
    TooMuch {
        flag: &'static str,
        given: String,
        most: String,
    },
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
    let (least, pods, rate) = match trouble {
        None => (SHORTEST, PODS, RATE),
        Some(trouble) => (SHORTEST_COMPARISON, trouble.pods(), trouble.rate()),
    };
    let given = options.duration;
    if given < least {
        return Err(Error::TooShort { given, least });
    }
    let pods = pods.hold("--pods", options.pods)?;
    let rate = rate.hold("--rate", options.rate)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    runtime.block_on(async {
        match trouble {
            None => tell(options, pods, rate).await,
            Some(trouble) => compare(trouble, options.duration, pods, rate).await,
        }
    })
}

impl<T: PartialOrd + ToString> Bounds<T> {
    /// What is given, where it is within the bounds.
    fn hold(self, flag: &'static str, given: Option<T>) -> Result<T, Error> {
        let given = given.unwrap_or(self.usual);
        if given < self.least {
            return Err(Error::TooLittle {
                flag,
                given: given.to_string(),
                least: self.least.to_string(),
            });
        }
        if given > self.most {
            return Err(Error::TooMuch {
                flag,
                given: given.to_string(),
                most: self.most.to_string(),
            });
        }
        Ok(given)
    }
}

/// The story: pods come and go.
async fn tell(options: Options, pods: usize, rate: u32) -> Result<bool, Error> {
    let (server, deployment) = pods_behind_an_api(Manner::Answers(WORK)).await?;
    let sidecar = Sidecar::start(server, &[]).await?;
    let scaled = deployment.scale(pods, Duration::ZERO, Leave::AT_ONCE).await;
    scaled.map_err(Error::Pod)?;
    stage::follow(sidecar.admin, &deployment).await?;

    let live = !options.plain && std::io::stdout().is_terminal();
    let stage = Stage {
        duration: options.duration,
        pods,
        rate,
        deployment,
        admin: sidecar.admin,
        load: Load::start(sidecar.proxy, Traffic::patient(rate)),
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

/// The comparison: pods are in trouble, under one setting after the other.
async fn compare(
    trouble: Trouble,
    duration: Duration,
    pods: usize,
    rate: u32,
) -> Result<bool, Error> {
    let (server, deployment) = pods_behind_an_api(trouble.usual(pods, rate)).await?;
    let scaled = deployment.scale(pods, Duration::ZERO, Leave::AT_ONCE).await;
    scaled.map_err(Error::Pod)?;
    let settings = u32::try_from(trouble.settings().len()).unwrap_or(u32::MAX);
    let comparison = Comparison {
        trouble,
        server,
        deployment,
        pods,
        rate,
        lasts: duration / settings.max(1),
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
async fn pods_behind_an_api(manner: Manner) -> Result<(SocketAddr, Deployment), Error> {
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
    let deployment = Deployment::new(publish, manner, fastrand::Rng::new());
    Ok((server, deployment))
}
