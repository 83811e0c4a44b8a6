//! The way to the Kubernetes API server: kube's client on a connection stack of our own.
//!
//! ```text
//! kube::Client ─ Guard (deadlines, bounds, pace, pulse) ─ headers ─ auth ─ base URI ─ TLS ─ TCP with keepalive
//! ```
//! Nothing in the stack retries or waits in silence: every failure reaches the caller, which knows how to say it.
//! Answers are not compressed: it would cost the API server more than it saves on a cluster's network.

mod body;
mod credentials;
mod guard;
mod pace;
mod tuning;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use tokio::sync::watch;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::config::KubeAccess;

pub(crate) use credentials::auth_failure;
pub use credentials::{Credentials, KubeError};
pub use guard::Refusal;
pub use pace::Pace;
pub use tuning::Tuning;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

// A peer that has gone without a word is noticed after 15 + 3 * 5 = 30 s, whether we wait for bytes (keepalive) or
// have sent some (user timeout).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection without a request is kept. Lists and reads of Services come minutes apart.
const POOL_IDLE: Duration = Duration::from_secs(10);

type Stack = tower::util::BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// What the guard sees of a session's traffic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// When the last byte of a list or a watch was read; bookmarks count, and no one else sees them.
    pub last_byte: Option<(Instant, SystemTime)>,
    /// Watches opened so far.
    pub watches: u64,
    /// Whether one is open now.
    pub open: bool,
}

impl Pulse {
    fn beat(&mut self) {
        self.last_byte = Some((Instant::now(), SystemTime::now()));
    }
}

/// A way to the API server. Cheap to clone; makes a [`Session`] for each Service.
#[derive(Clone, Debug)]
pub struct KubeClient {
    stack: Stack,
    tuning: Arc<Tuning>,
    namespace: String,
    server: String,
    credentials: Credentials,
}

/// A client with a pace and a pulse of its own. Sessions share connections, nothing else.
#[derive(Clone)]
pub struct Session {
    pub client: kube::Client,
    pub pace: Arc<Pace>,
    pub pulse: watch::Receiver<Pulse>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("pace", &self.pace)
            .field("pulse", &self.pulse)
            .finish_non_exhaustive()
    }
}

impl KubeClient {
    /// Reads the credentials and builds the stack; nothing is sent yet.
    ///
    /// # Errors
    /// Credentials that are missing or cannot be read.
    pub async fn connect(access: &KubeAccess, tuning: Tuning) -> Result<Self, KubeError> {
        if let Some(server) = &access.server {
            return Self::without_credentials(server.clone(), tuning);
        }
        let (config, credentials) = credentials::read(access).await?;
        Self::build(&config, credentials, tuning)
    }

    /// A way to an API server that asks for no credentials, as the demo's.
    ///
    /// # Errors
    /// None that depends on `server`; only what the TLS library may refuse.
    pub fn without_credentials(server: http::Uri, tuning: Tuning) -> Result<Self, KubeError> {
        let mut config = kube::Config::new(server);
        // No roots: without credentials there is no https either, and the system's roots need not be read.
        config.root_cert = Some(Vec::new());
        Self::build(&config, Credentials::None, tuning)
    }

    fn build(
        config: &kube::Config,
        credentials: Credentials,
        tuning: Tuning,
    ) -> Result<Self, KubeError> {
        // Fails only where a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: kube::Error| KubeError::Client {
            credentials: credentials.clone(),
            reason: match &error {
                kube::Error::Auth(error) => auth_failure(error),
                error => root_cause(error),
            },
        };
        let connector = config
            .rustls_https_connector_with_connector(tcp_connector())
            .map_err(failed)?;
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build::<_, Body>(connector);
        let stack = ServiceBuilder::new()
            .layer(config.extra_headers_layer().map_err(failed)?)
            .option_layer(config.auth_layer().map_err(failed)?)
            .layer(config.base_uri_layer())
            .map_err(BoxError::from)
            .service(http);
        Ok(Self {
            stack: Stack::new(stack.map_err(Into::into)),
            tuning: Arc::new(tuning),
            namespace: config.default_namespace.clone(),
            server: server_name(&config.cluster_url),
            credentials,
        })
    }

    /// A session of its own. To be called within a tokio runtime, which it must not outlive.
    pub fn session(&self) -> Session {
        let (pulse, pulse_reader) = watch::channel(Pulse::default());
        let pace = Arc::new(Pace::new(&self.tuning));
        let guard = guard::Guard {
            stack: self.stack.clone(),
            tuning: self.tuning.clone(),
            pace: pace.clone(),
            pulse: Arc::new(pulse),
            list: Arc::default(),
        };
        Session {
            client: kube::Client::new(guard, self.namespace.clone()),
            pace,
            pulse: pulse_reader,
        }
    }

    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The namespace of the service account, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The API server, as `https://HOST:PORT`.
    pub fn server(&self) -> &str {
        &self.server
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

fn tcp_connector() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    // The scheme is https as a rule; TLS is the next layer's.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE_IDLE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp
}

/// Scheme, host and port; anything else in the URL is nobody's business.
fn server_name(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    url.port_u16().map_or_else(
        || format!("{scheme}://{host}"),
        |port| format!("{scheme}://{host}:{port}"),
    )
}

/// An error and what it came from, outermost first.
pub(crate) fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    /// Errors nest a handful deep; a cycle must not hang us.
    const DEPTH: usize = 16;
    std::iter::successors(Some(error), |cause| cause.source()).take(DEPTH)
}

/// The innermost cause, as one line: what lies around it only says which library passed it on.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(String::new, |cause| one_line(&cause.to_string()))
}

/// Text from elsewhere, made fit for one line of a log.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line: String = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .flat_map(|word| [" ", word])
        .skip(1)
        .collect();
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
