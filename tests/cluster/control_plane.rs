//! A control plane: etcd, kube-apiserver and kube-controller-manager as child processes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Node;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::process::Process;
use crate::secrets;
use crate::wait::until;

/// The nodes every plane has, each in a zone of its own: `node-a` in `zone-a`.
pub const NODES: [(&str, &str); 2] = [("node-a", "zone-a"), ("node-b", "zone-b")];

/// Only what makes pods, EndpointSlices and tokens: the rest costs seconds and, like the eviction of pods from nodes
/// without a kubelet, gets in the way.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,endpointslice-controller,\
    serviceaccount-controller,service-cidr-controller";

/// A running control plane. Dropped, its processes are killed.
#[derive(Debug)]
pub struct ControlPlane {
    address: IpAddr,
    binaries: PathBuf,
    /// Removed by `run.sh`, or kept where a test failed.
    folder: PathBuf,
    processes: Vec<Process>,
    api_server: Mutex<Option<Process>>,
}

impl ControlPlane {
    /// The plane that scenes share. The process namespace ends it: see `run.sh`.
    pub async fn shared() -> Arc<Self> {
        static SHARED: OnceCell<Result<Arc<ControlPlane>, String>> = OnceCell::const_new();
        let shared = SHARED.get_or_init(Self::try_start).await;
        shared.clone().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A plane of the caller's own.
    pub async fn start() -> Arc<Self> {
        Self::try_start()
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_start() -> Result<Arc<Self>, String> {
        let binaries = binaries()?;
        require_own_namespace()?;
        // Set twice by scenes that start planes of their own; the first one stands.
        let _ = rustls::crypto::ring::default_provider().install_default();

        static PLANES: AtomicU8 = AtomicU8::new(1);
        let number = PLANES.fetch_add(1, Relaxed);
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, number, 1));
        let folder = tempfile::tempdir()
            .map_err(|error| format!("no folder: {error}"))?
            .keep();
        secrets::write(&folder).map_err(|error| format!("no keys: {error}"))?;

        let mut plane = Self {
            address,
            binaries,
            folder,
            processes: Vec::new(),
            api_server: Mutex::new(None),
        };
        let etcd = plane.spawn("etcd", &plane.etcd_arguments())?;
        plane.processes.push(etcd);
        plane.start_api_server().await?;
        fs::write(
            plane.file("admin.kubeconfig"),
            plane.kubeconfig(plane.api_address(), secrets::ADMIN_TOKEN),
        )
        .map_err(|error| error.to_string())?;
        let controllers = plane.spawn("kube-controller-manager", &plane.controller_arguments())?;
        plane.processes.push(controllers);
        plane.register_nodes().await?;
        Ok(Arc::new(plane))
    }

    /// A client with all rights, for the calling test's runtime.
    pub async fn admin(&self) -> Client {
        self.client(secrets::ADMIN_TOKEN).await.unwrap()
    }

    /// A client that shows this token.
    pub async fn client(&self, token: &str) -> Result<Client, String> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(self.api_address(), token));
        let kubeconfig = kubeconfig.map_err(|error| error.to_string())?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let config = config.map_err(|error| error.to_string())?;
        Client::try_from(config).map_err(|error| error.to_string())
    }

    /// A kubeconfig (JSON is YAML) for whoever has `token`, by way of `server`: the API server or a relay to it.
    pub fn kubeconfig(&self, server: SocketAddr, token: &str) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "cluster-tests",
            "contexts": [{"name": "cluster-tests", "context": {"cluster": "plane", "user": "bearer"}}],
            "clusters": [{"name": "plane", "cluster": {
                "server": format!("https://{server}"),
                "certificate-authority": self.certificate(),
            }}],
            "users": [{"name": "bearer", "user": {"token": token}}],
        })
        .to_string()
    }

    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, 6443)
    }

    /// etcd's client port, which also speaks JSON over HTTP.
    pub fn etcd_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, 2379)
    }

    /// SIGKILL, as by a node that dies.
    pub fn kill_api_server(&self) {
        let process = self.api_server.lock().unwrap().take();
        assert!(process.is_some(), "the API server is already dead");
    }

    /// Starts the API server and returns when it is ready.
    pub async fn start_api_server(&self) -> Result<(), String> {
        let mut process = self.spawn("kube-apiserver", &self.api_arguments())?;
        until("the API server is ready", async || {
            if let Some(end) = process.ended() {
                return Ok(Err(end));
            }
            match self.probe().await {
                Ok(()) => Ok(Ok(())),
                Err(error) => Err(error),
            }
        })
        .await?;
        *self.api_server.lock().unwrap() = Some(process);
        Ok(())
    }

    async fn probe(&self) -> Result<(), String> {
        if !self.certificate().exists() {
            return Err("it has made no certificate yet".to_owned());
        }
        let client = self.client(secrets::ADMIN_TOKEN).await?;
        let request = http::Request::get("/readyz").body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = client.request_text(request).await;
        answer.map(drop).map_err(|error| error.to_string())
    }

    async fn register_nodes(&self) -> Result<(), String> {
        let nodes: Api<Node> = Api::all(self.client(secrets::ADMIN_TOKEN).await?);
        for (name, zone) in NODES {
            let node = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {
                    "kubernetes.io/hostname": name,
                    "topology.kubernetes.io/zone": zone,
                }},
            }));
            let node: Node = node.map_err(|error| error.to_string())?;
            nodes
                .create(&PostParams::default(), &node)
                .await
                .map_err(|error| format!("node {name}: {error}"))?;
        }
        Ok(())
    }

    fn etcd_arguments(&self) -> Vec<String> {
        let clients = format!("http://{}", self.etcd_address());
        let peers = format!("http://{}", SocketAddr::new(self.address, 2380));
        vec![
            format!("--data-dir={}", self.file("etcd").display()),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
        ]
    }

    fn api_arguments(&self) -> Vec<String> {
        vec![
            format!("--etcd-servers=http://{}", self.etcd_address()),
            format!("--bind-address={}", self.address),
            format!("--secure-port={}", self.api_address().port()),
            // Loopback is refused here; `run.sh` gives the namespace this address. Nobody connects to it.
            "--advertise-address=10.200.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--cert-dir={}", self.file("api").display()),
            "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112".to_owned(),
            "--service-account-issuer=https://cluster-tests.podrobin.invalid".to_owned(),
            format!(
                "--service-account-signing-key-file={}",
                self.file("tokens.key").display()
            ),
            format!(
                "--service-account-key-file={}",
                self.file("tokens.pub").display()
            ),
            format!("--token-auth-file={}", self.file("tokens.csv").display()),
            "--authorization-mode=Node,RBAC".to_owned(),
        ]
    }

    fn controller_arguments(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.file("admin.kubeconfig").display()),
            format!("--bind-address={}", self.address),
            format!("--cert-dir={}", self.file("controllers").display()),
            format!("--controllers={CONTROLLERS}"),
            "--use-service-account-credentials".to_owned(),
            format!("--root-ca-file={}", self.certificate().display()),
            "--leader-elect=false".to_owned(),
            // 250 pods at the default of 20 requests a second would take a quarter of a minute.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]
    }

    /// The API server's certificate with its authority's, made at its first start.
    pub fn certificate(&self) -> PathBuf {
        self.file("api/apiserver.crt")
    }

    /// Where this plane keeps its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn spawn(&self, name: &'static str, arguments: &[String]) -> Result<Process, String> {
        let log = self.file(name).with_extension("log");
        Process::start(&self.binaries.join(name), arguments, log)
    }
}

/// The folder with the control plane's binaries: these tests never pass for want of them.
fn binaries() -> Result<PathBuf, String> {
    const MEND: &str =
        "run the cluster tests with tests/cluster/run.sh, which builds what they need";
    let folder = std::env::var_os("PODROBIN_CLUSTER_BINARIES")
        .map(PathBuf::from)
        .ok_or_else(|| format!("PODROBIN_CLUSTER_BINARIES is not set: {MEND}"))?;
    for name in ["etcd", "kube-apiserver", "kube-controller-manager"] {
        if !folder.join(name).is_file() {
            return Err(format!(
                "there is no {name} in {}: unset KUBEBUILDER_ASSETS and {MEND}",
                folder.display()
            ));
        }
    }
    Ok(folder)
}

/// Pods get addresses of their own and control planes fixed ports: nothing to do to a machine in use.
fn require_own_namespace() -> Result<(), String> {
    let routes = fs::read_to_string("/proc/self/net/route").map_err(|error| error.to_string())?;
    let elsewhere = routes
        .lines()
        .skip(1)
        .filter_map(|route| route.split_whitespace().next())
        .find(|interface| *interface != "lo");
    match elsewhere {
        None => Ok(()),
        Some(interface) => Err(format!(
            "this network namespace reaches others by {interface}: run tests/cluster/run.sh, which makes one that does not"
        )),
    }
}
