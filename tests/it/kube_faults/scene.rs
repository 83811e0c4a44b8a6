//! One scene: an API server, flaky or not, and a watch of Service `shop/cart`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use podrobin::backoff::Backoff;
use podrobin::config::{OwnPod, PortRef, ServiceRef};
use podrobin::demo::api::Api;
use podrobin::discovery::{Outlet, Phase, Status, UPDATE_QUEUE, Update, watch};
use podrobin::kube_client::{KubeClient, Tuning};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch as watch_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::flaky::{Ask, Fault, Flaky};

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct Scene {
    pub api: Api,
    pub flaky: Flaky,
    pub updates: mpsc::Receiver<Update>,
    pub status: watch_channel::Receiver<Status>,
    tasks: JoinSet<()>,
}

/// Waits so short that recovery takes no time.
pub fn quick() -> Tuning {
    let short = Backoff::new(Duration::from_millis(20), Duration::from_millis(200), 2);
    Tuning {
        head: Duration::from_millis(500),
        body: Duration::from_millis(500),
        error_delays: short.clone(),
        short_watch_delays: short,
        settle: Duration::from_millis(100),
        service_interval: Duration::from_millis(50),
        ..Tuning::default()
    }
}

pub fn http() -> PortRef {
    PortRef::Name("http".to_owned())
}

impl Scene {
    /// The Service `shop/cart` with one slice of two pods, watched for its port `http`.
    pub async fn with_two_pods(
        tuning: Tuning,
        script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let api = Api::new();
        api.apply_service(&service(&json!({}))).unwrap();
        api.apply_slice(&slice("cart-a", &["10.0.0.1", "10.0.0.2"]))
            .unwrap();
        Self::start(api, http(), tuning, script).await
    }

    pub async fn start(
        api: Api,
        port: PortRef,
        tuning: Tuning,
        script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut scene = Self::unserved(api, address, port, tuning, script);
        scene.serve(listener);
        scene
    }

    /// Nobody listens yet.
    pub fn unserved(
        api: Api,
        address: SocketAddr,
        port: PortRef,
        tuning: Tuning,
        script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let flaky = Flaky::new(api.clone(), script);
        let uri = format!("http://{address}").parse().unwrap();
        let client = KubeClient::without_credentials(uri, tuning).unwrap();
        let (update_sender, updates) = mpsc::channel(UPDATE_QUEUE);
        let (status_sender, status) = watch_channel::channel(Status {
            phase: Phase::Starting,
            since: SystemTime::now(),
            fresh: None,
            error: None,
        });
        let service = ServiceRef {
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
            port,
        };
        let pod = OwnPod {
            node: Some("node-1".to_owned()),
            ..OwnPod::default()
        };
        let outlet = Outlet {
            updates: update_sender,
            status: status_sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(watch::run(client, service, pod, outlet));
        Self {
            api,
            flaky,
            updates,
            status,
            tasks,
        }
    }

    /// Waits for the watch to end: nobody is left who could write its status.
    pub async fn ended(&mut self) {
        let ended = async { while self.status.changed().await.is_ok() {} };
        timeout(LIMIT, ended).await.unwrap();
    }

    pub fn serve(&mut self, listener: TcpListener) {
        self.tasks.spawn(self.flaky.clone().serve(listener));
    }

    /// The next update.
    pub async fn update(&mut self) -> Update {
        timeout(LIMIT, self.updates.recv())
            .await
            .unwrap_or_else(|_| panic!("no update; status {:?}", self.status.borrow()))
            .unwrap()
    }

    /// The addresses of the next update.
    pub async fn addresses(&mut self) -> Vec<String> {
        addresses(&self.update().await)
    }

    /// Waits for an update with these addresses; others may come before.
    pub async fn until(&mut self, wanted: &[&str]) {
        while self.addresses().await != wanted {}
    }

    pub async fn phase(&mut self, phase: Phase) -> Status {
        self.status_where(|status| status.phase == phase).await
    }

    /// Waits for an error that contains `text`.
    pub async fn error(&mut self, text: &str) -> Status {
        self.status_where(|status| {
            status
                .error
                .as_deref()
                .is_some_and(|error| error.contains(text))
        })
        .await
    }

    pub async fn status_where(&mut self, holds: impl Fn(&Status) -> bool) -> Status {
        let waited = timeout(LIMIT, self.status.wait_for(|status| holds(status)))
            .await
            .map(|status| status.unwrap().clone());
        waited.unwrap_or_else(|_| panic!("status is {:?}", self.status.borrow()))
    }

    /// The list that was served last is still the last word.
    pub fn nothing_new(&mut self) {
        if let Ok(update) = self.updates.try_recv() {
            panic!("an update of {:?}", addresses(&update));
        }
    }
}

pub fn addresses(update: &Update) -> Vec<String> {
    let mut addresses: Vec<String> = update
        .endpoints
        .iter()
        .map(|endpoint| endpoint.address().ip().to_string())
        .collect();
    addresses.sort();
    addresses
}

/// A slice of `cart` with a pod at each address, on port `http`.
pub fn slice(name: &str, ips: &[&str]) -> EndpointSlice {
    slice_where(name, ips, &json!({}))
}

/// The same, with annotations.
pub fn slice_where(name: &str, ips: &[&str], annotations: &Value) -> EndpointSlice {
    let endpoints: Vec<Value> = ips
        .iter()
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}, "nodeName": "node-2"}))
        .collect();
    let slice = json!({
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "cart"},
            "annotations": annotations,
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    serde_json::from_value(slice).unwrap()
}

/// The Service `cart`, its port 80 named `http`, with further fields of the spec.
pub fn service(spec: &Value) -> Service {
    let mut service = json!({
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        service["spec"][field] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

/// A status as the API server gives it.
pub fn status(code: u16, message: &str) -> Fault {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "", "code": code,
    });
    Fault::Status(code, "application/json", status.to_string(), None)
}

/// A refusal for want of the right.
pub fn forbidden() -> Fault {
    status(
        403,
        "it is forbidden: User \"system:serviceaccount:shop:web\" cannot do that",
    )
}

/// One line of a watch.
pub fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// The refusal of a version that is too old, as an event.
pub fn gone() -> Fault {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 200 (221)", "reason": "Expired", "code": 410,
    });
    Fault::Whole(event("ERROR", &status).into())
}
