//! The pods of one Service, as a Deployment and its EndpointSlices would have them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use podrobin::demo::api::Api;
use serde_json::json;

use crate::ledger::Ledger;
use crate::pod::Pod;

pub const NAMESPACE: &str = "soak";

/// From the word that a pod terminates to its end: a pod does well to wait for the word to spread.
const NOTICE: Duration = Duration::from_millis(300);

pub struct Fleet {
    pub service: &'static str,
    pub pods: Vec<Pod>,
    http2: bool,
    started: usize,
    api: Api,
    ledger: Arc<Ledger>,
}

impl Fleet {
    pub async fn start(
        service: &'static str,
        http2: bool,
        size: usize,
        api: &Api,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let object = json!({
            "metadata": {"name": service, "namespace": NAMESPACE},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        });
        api.apply_service(&serde_json::from_value(object).unwrap())
            .unwrap();
        let mut fleet = Self {
            service,
            pods: Vec::new(),
            http2,
            started: 0,
            api: api.clone(),
            ledger: ledger.clone(),
        };
        for _ in 0..size {
            fleet.grow().await;
        }
        fleet
    }

    /// One step of a rollout: a new pod is ready, then the oldest one terminates.
    pub async fn roll(&mut self) {
        self.grow().await;
        let old = self.pods.remove(0);
        self.publish(&old, false);
        let (api, service) = (self.api.clone(), self.service);
        tokio::spawn(async move {
            tokio::time::sleep(NOTICE).await;
            let name = slice_name(service, &old.name);
            old.leave().await;
            api.delete_slice(NAMESPACE, &name);
        });
    }

    /// The youngest pod is gone, and a while later its endpoint is; another one takes its place.
    pub async fn crash(&mut self) {
        let Some(pod) = self.pods.pop() else {
            return;
        };
        let name = slice_name(self.service, &pod.name);
        pod.crash();
        // As long as its node takes to notice.
        tokio::time::sleep(NOTICE).await;
        self.api.delete_slice(NAMESPACE, &name);
        self.grow().await;
    }

    async fn grow(&mut self) {
        self.started += 1;
        let name = format!("{}-{}", self.service, self.started);
        let pod = Pod::start(name, self.http2, self.ledger.clone()).await;
        self.publish(&pod, true);
        self.pods.push(pod);
    }

    fn publish(&self, pod: &Pod, ready: bool) {
        let protocol = self.http2.then_some("kubernetes.io/h2c");
        let slice = json!({
            "metadata": {
                "name": slice_name(self.service, &pod.name),
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": self.service},
            },
            "addressType": "IPv4",
            "ports": [{
                "name": "http",
                "port": pod.address.port(),
                "protocol": "TCP",
                "appProtocol": protocol,
            }],
            "endpoints": [{
                "addresses": [pod.address.ip()],
                "conditions": {"ready": ready, "serving": true, "terminating": !ready},
                "targetRef": {
                    "kind": "Pod",
                    "namespace": NAMESPACE,
                    "name": pod.name,
                    "uid": pod.name,
                },
            }],
        });
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        self.api.apply_slice(&slice).unwrap();
    }
}

fn slice_name(service: &str, pod: &str) -> String {
    format!("{service}-slice-{pod}")
}
