//! The binary under test, as a child process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::load::Client;
use crate::wait::{PATIENCE, until, until_within, within};

/// A running sidecar. Dropped, it is killed.
#[derive(Debug)]
pub struct Sidecar {
    child: Child,
    /// Every line it wrote, in order.
    log: watch::Receiver<Vec<String>>,
    admin: SocketAddr,
    proxy: SocketAddr,
}

/// What `/state` says of one target.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    pub watch: Watch,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Watch {
    pub phase: String,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Endpoint {
    pub pod: Option<String>,
    pub address: SocketAddr,
    pub node: Option<String>,
    pub zone: Option<String>,
    pub state: String,
    pub requests: u64,
}

#[derive(Debug, Deserialize)]
struct State {
    targets: Vec<Target>,
}

impl Sidecar {
    /// Starts it and returns once all its listeners are bound, which is before it is ready.
    ///
    /// Nothing of this process's environment is handed on.
    pub async fn start(
        kubeconfig: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
        command
            .arg("run")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().cloned());
        Self::launch(command, "proxy").await
    }

    /// `podrobin webhook`, whose listener is the proxy's here.
    pub async fn start_webhook(certificate: &Path, key: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
        command
            .args(["webhook", "--linger", "0"])
            .arg("--tls-cert")
            .arg(certificate)
            .arg("--tls-key")
            .arg(key)
            .args(flags)
            .env_clear();
        Self::launch(command, "webhook").await
    }

    /// Starts it as in a pod: it sees `account` where a pod's credentials are, and knows the API server from the
    /// environment alone.
    pub async fn start_in_pod(account: &Path, server: SocketAddr, service: &str) -> Self {
        // In a mount namespace of its own; `exec` keeps the process that is signalled and killed.
        const IN_POD: &str = r#"
            credentials=/var/run/secrets/kubernetes.io/serviceaccount
            mount -t tmpfs tmpfs /var/run
            mkdir -p "$credentials"
            mount --bind "$0" "$credentials"
            exec "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", IN_POD])
            .arg(account)
            .args([env!("CARGO_BIN_EXE_podrobin"), "run", "--service", service])
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("KUBERNETES_SERVICE_HOST", server.ip().to_string())
            .env("KUBERNETES_SERVICE_PORT", server.port().to_string());
        Self::launch(command, "proxy").await
    }

    /// `listener` is what its main one is called in the log.
    async fn launch(mut command: Command, listener: &str) -> Self {
        command
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();

        let (lines, log) = watch::channel(Vec::new());
        let stderr = child.stderr.take().unwrap();
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                lines.send_modify(|lines| lines.push(line));
            }
        });

        let mut sidecar = Self {
            child,
            log,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            proxy: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        sidecar.admin = sidecar.listening("admin").await;
        sidecar.proxy = sidecar.listening(listener).await;
        sidecar
    }

    /// Where it serves its Service.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Waits until it says it is ready.
    pub async fn ready(&self) {
        until("the sidecar is ready", async || {
            let (status, body) = self.ask("/readyz").await;
            if status == 200 {
                Ok(())
            } else {
                Err(self.standing(&body))
            }
        })
        .await;
    }

    /// What `/readyz` answers.
    pub async fn readiness(&self) -> (u16, String) {
        self.ask("/readyz").await
    }

    /// Waits until `/state` says of its only target what is wanted.
    pub async fn target(&self, what: &str, wanted: impl Fn(&Target) -> bool) -> Target {
        self.target_within(PATIENCE, what, wanted).await
    }

    /// The same, of what takes its time.
    pub async fn target_within(
        &self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&Target) -> bool,
    ) -> Target {
        until_within(patience, what, async || {
            let target = self.state().await;
            if wanted(&target) {
                Ok(target)
            } else {
                Err(self.standing(&format!("{target:#?}")))
            }
        })
        .await
    }

    /// Waits until its only target has this many ready endpoints and no others.
    pub async fn settled(&self, ready: usize) -> Target {
        self.target(
            &format!("the sidecar has {ready} ready endpoints"),
            |target| target.endpoints.len() == ready && target.ready() == ready,
        )
        .await
    }

    /// What `/state` says of its only target now.
    pub async fn state(&self) -> Target {
        let (status, body) = self.ask("/state").await;
        assert_eq!(status, 200, "{body}");
        let state: Result<State, _> = serde_json::from_str(&body);
        let mut state = state.unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(state.targets.len(), 1, "{body}");
        state.targets.remove(0)
    }

    /// Waits for a line of its log, past or to come.
    pub async fn logged<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let find_any = |lines: &Vec<String>| lines.iter().find_map(|line| find(line));
        let mut log = self.log.clone();
        let found = within(what, async {
            let lines = log.wait_for(|lines| find_any(lines).is_some()).await.ok()?;
            find_any(&lines)
        })
        .await;
        // The log ends with the process.
        found.unwrap_or_else(|| {
            panic!(
                "{what}: the sidecar ended first; its log:\n{}",
                self.lines()
            )
        })
    }

    pub fn lines(&self) -> String {
        self.log.borrow().join("\n")
    }

    /// SIGTERM, as the kubelet sends it; how the process ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?))
            .unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        within("the sidecar ends", self.child.wait()).await.unwrap()
    }

    async fn listening(&mut self, listener: &str) -> SocketAddr {
        self.logged(&format!("the {listener} listener is bound"), |line| {
            bound_address(line, listener)
        })
        .await
    }

    async fn ask(&self, path: &str) -> (u16, String) {
        let answer = Client::new(self.admin).send(Method::GET, path).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}; its log:\n{}", self.lines()))
    }

    fn standing(&self, says: &str) -> String {
        format!("{says}\nits log:\n{}", self.lines())
    }
}

impl Target {
    pub fn ready(&self) -> usize {
        self.in_state("ready")
    }

    pub fn in_state(&self, state: &str) -> usize {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.state == state)
            .count()
    }
}

/// The address in the line that says this listener is bound.
fn bound_address(line: &str, listener: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" || line["listener"] != listener {
        return None;
    }
    line["address"].as_str()?.parse().ok()
}
