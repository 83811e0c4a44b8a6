//! The built program, and what it costs the machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For anything that happens at once, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Sidecar {
    child: Child,
    pub admin: SocketAddr,
    /// Each Service's listener.
    pub listeners: BTreeMap<String, SocketAddr>,
    reading: JoinHandle<Vec<String>>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Its own: pages of the program's file come and go as the machine likes.
    pub memory: u64,
    pub files: usize,
    pub threads: u64,
    pub tasks: f64,
}

impl Sidecar {
    /// Starts it for these Services and waits until it is ready.
    pub async fn start(kubeconfig: &Path, namespace: &str, services: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podrobin"));
        command
            .args(["run", "--admin=127.0.0.1:0", "--log-format=json"])
            .args(["--workers=2", "--log-level=warn,podrobin::app=info"])
            .args(["--upstream-idle-timeout=1s", "--upstream-keepalive=2s"])
            // Pods that hang are answered for; the budget for retries is no excuse here.
            .args(["--response-timeout=3s", "--connect-timeout=2s"])
            .args(["--retry-budget-ratio=1", "--retry-budget-floor=10000"])
            .arg("--namespace")
            .arg(namespace)
            .arg("--kubeconfig")
            .arg(kubeconfig);
        for service in services {
            command.arg(format!("--service=127.0.0.1:0={service}"));
        }
        let mut child = command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut listeners = BTreeMap::new();
        let mut admin = None;
        let mut said = Vec::new();
        while listeners.len() < services.len() || admin.is_none() {
            let line = timeout(SOON, lines.next_line()).await.unwrap().unwrap();
            let line = line.unwrap_or_else(|| panic!("podrobin ended: {said:?}"));
            let fields: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if fields["message"] == "listening" {
                let address = fields["address"].as_str().unwrap().parse().unwrap();
                match fields["target"].as_str() {
                    Some(target) => drop(listeners.insert(service_of(target), address)),
                    None => admin = Some(address),
                }
            }
            said.push(line);
        }
        let sidecar = Self {
            child,
            admin: admin.unwrap(),
            listeners,
            reading: tokio::spawn(collect(lines, said)),
        };
        let ready = async {
            while sidecar.ask("/readyz").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, ready).await.unwrap();
        sidecar
    }

    /// Status and text of a page of the admin listener.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", "admin");
        let response = sender
            .send_request(request.body(Empty::<Bytes>::new()).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, String::from_utf8(body.into()).unwrap())
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.ask("/metrics").await;
        text.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub async fn resources(&self) -> Resources {
        let tasks = self.metric("podrobin_tasks").await;
        let process = format!("/proc/{}", self.child.id().unwrap());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let number = line.split_whitespace().nth(1).unwrap();
            number.parse::<u64>().unwrap()
        };
        Resources {
            memory: (field("RssAnon:") + field("VmSwap:")) * 1024,
            files: std::fs::read_dir(format!("{process}/fd")).unwrap().count(),
            threads: field("Threads:"),
            tasks,
        }
    }

    /// Ends it by SIGTERM: whether it ended well, and all that it said.
    pub async fn end(mut self) -> (bool, Vec<String>) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = timeout(2 * SOON, self.child.wait()).await.unwrap().unwrap();
        (status.success(), self.reading.await.unwrap())
    }
}

async fn collect(
    mut lines: tokio::io::Lines<BufReader<ChildStderr>>,
    mut said: Vec<String>,
) -> Vec<String> {
    while let Ok(Some(line)) = lines.next_line().await {
        said.push(line);
    }
    said
}

/// `shop` of `soak/shop:http`.
fn service_of(target: &str) -> String {
    let name = target.rsplit('/').next().unwrap();
    name.split(':').next().unwrap().to_owned()
}
