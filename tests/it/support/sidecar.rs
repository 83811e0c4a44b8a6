//! The built binary as a process of its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::head::Message;
use super::log::{Log, field};
use super::{Client, Cluster, H2Client, Pod, Slices, eventually};

/// Killed when it is dropped. A failing test prints what it said.
#[derive(Debug)]
pub struct Sidecar {
    child: Child,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub log: Log,
}

/// The command line of a sidecar to be.
#[derive(Debug)]
pub struct Plan {
    /// The command, and the name of its main listener.
    command: [&'static str; 2],
    args: Vec<String>,
    variables: Vec<(String, String)>,
    workers: usize,
}

impl Sidecar {
    /// Over a fixed list of pods.
    pub fn over<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Plan {
        Self::at(pods.into_iter().map(|pod| pod.address))
    }

    /// Over a fixed list of addresses, for pods of another make.
    pub fn at(addresses: impl IntoIterator<Item = SocketAddr>) -> Plan {
        let addresses: Vec<String> = addresses
            .into_iter()
            .map(|address| address.to_string())
            .collect();
        Plan::run().with("--endpoint", &addresses.join(","))
    }

    /// Over a fixed list of pods with their weights.
    pub fn weighing<'a>(pods: impl IntoIterator<Item = (&'a Pod, u32)>) -> Plan {
        let pods = pods.into_iter();
        let pods: Vec<String> = pods
            .map(|(pod, weight)| format!("{}={weight}", pod.address))
            .collect();
        Plan::run().with("--endpoint", &pods.join(","))
    }

    /// Over a file of EndpointSlices.
    pub fn watching(slices: &Slices) -> Plan {
        Plan::run().with("--endpoint-slices", &slices.path().display().to_string())
    }

    /// Over a cluster's Services, as `PODROBIN_SERVICE` names them.
    pub fn of_services(cluster: &Cluster, services: &str) -> Plan {
        Plan::run()
            .with("--kubeconfig", &cluster.kubeconfig().display().to_string())
            .with_variable("PODROBIN_SERVICE", services)
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.proxy).await
    }

    pub async fn http2(&self) -> H2Client {
        H2Client::connect(self.proxy).await
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, target: &str) -> Message {
        self.client().await.get(target).await
    }

    pub async fn admin(&self, target: &str) -> Message {
        Client::connect(self.admin).await.get(target).await
    }

    /// Each target's part of `/state`.
    pub async fn targets(&self) -> Vec<Value> {
        let answer = self.admin("/state").await;
        let state: Value = serde_json::from_slice(&answer.body).unwrap();
        state["targets"].as_array().unwrap().clone()
    }

    /// The only target's part of `/state`.
    pub async fn state(&self) -> Value {
        self.targets().await.swap_remove(0)
    }

    /// What `/state` says of one pod; null where it is not on the list.
    pub async fn state_of(&self, pod: &Pod) -> Value {
        let state = self.state().await;
        let address = pod.address.to_string();
        let endpoints = state["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints
            .into_iter()
            .find(|endpoint| endpoint["address"] == address.as_str())
            .unwrap_or_default()
    }

    /// Waits until `/state` gives a pod that state.
    pub async fn until_state(&self, pod: &Pod, wanted: &str) -> Value {
        eventually(&format!("{} to be {wanted}", pod.name), async || {
            let state = self.state_of(pod).await;
            (state["state"] == wanted).then_some(state)
        })
        .await
    }

    /// Waits until `/state` lists so many endpoints.
    pub async fn until_listed(&self, count: usize) {
        eventually(&format!("{count} endpoints in /state"), async || {
            let state = self.state().await;
            (state["endpoints"].as_array()?.len() == count).then_some(())
        })
        .await;
    }

    /// Waits until so many requests are held.
    pub async fn until_held(&self, count: u32) {
        eventually(&format!("{count} requests to be held"), async || {
            let held = self.metric("podrobin_requests_held", &[]).await;
            (held == f64::from(count)).then_some(())
        })
        .await;
    }

    /// The sum of the samples of a metric whose labels contain all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.admin("/metrics").await.text();
        page.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let (own, rest) = series.split_once('{').unwrap_or((series, ""));
                own == name && labels.iter().all(|label| rest.contains(label))
            })
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let child = &mut self.child;
        eventually("the sidecar's end", async || {
            child.try_wait().unwrap().map(|status| status.code())
        })
        .await
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// A size that the kernel tells of the process, in bytes.
    pub fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(field));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already, as many scenes want it to.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.log.lines().join("\n");
        if std::thread::panicking() {
            eprintln!("the sidecar said:\n{said}");
        } else {
            // A worker that panics takes its connections along, and a scene may not notice.
            assert!(!said.contains("panicked at"), "{said}");
        }
    }
}

impl Plan {
    fn run() -> Self {
        Self {
            command: ["run", "proxy"],
            args: Vec::new(),
            variables: Vec::new(),
            workers: 2,
        }
    }

    /// Of `podrobin webhook`, whose listener is the proxy's here.
    pub fn webhook() -> Self {
        Self {
            command: ["webhook", "webhook"],
            ..Self::run()
        }
    }

    pub fn with_flag(mut self, flag: &str) -> Self {
        self.args.push(flag.to_owned());
        self
    }

    pub fn with(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// With as much retry budget as a scene about something else needs.
    pub fn without_budget(self) -> Self {
        self.with("--retry-budget-ratio", "1")
            .with("--retry-budget-floor", "10000")
    }

    /// Pods are spoken to over HTTP/2.
    pub fn http2_to_pods(self) -> Self {
        self.with("--upstream-protocol", "http2")
    }

    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One worker, where a scene counts what each worker keeps to itself.
    pub fn on_one_worker(mut self) -> Self {
        self.workers = 1;
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Sidecar {
        let sidecar = self.start_unready().await;
        eventually("readiness", async || {
            (sidecar.admin("/readyz").await.status() == 200).then_some(())
        })
        .await;
        sidecar
    }

    /// Starts it and waits until it listens.
    pub async fn start_unready(self) -> Sidecar {
        let [command, listener] = self.command;
        let workers = format!("--workers={}", self.workers);
        let mut child = Command::new(env!("CARGO_BIN_EXE_podrobin"))
            .env_clear()
            .envs(self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .args([command, "--listen", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0", "--log-format", "json"])
            .args(Some(workers).filter(|_| command == "run"))
            .args(self.args)
            .spawn()
            .unwrap();
        let log = Log::default();
        log.collect(child.stderr.take().unwrap());
        log.collect(child.stdout.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut sidecar = Sidecar {
            child,
            proxy: nowhere,
            admin: nowhere,
            log,
        };
        sidecar.proxy = sidecar.listening(listener).await;
        sidecar.admin = sidecar.listening("admin").await;
        sidecar
    }
}

impl Sidecar {
    async fn listening(&self, listener: &str) -> SocketAddr {
        let lines = self.log.until(listener, 1, |line| {
            field(line, "message") == "listening" && field(line, "listener") == listener
        });
        field(&lines.await[0], "address").parse().unwrap()
    }
}
