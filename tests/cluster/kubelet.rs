//! Plays kubelet and scheduler for one Kubernetes namespace: binds pods, runs their containers, reports their status.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_pods};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::control_plane::NODES;
use crate::pod::{Containers, Exit};

/// How pods are made and how they end.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub exit: Exit,
    pub addresses: Addresses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    Ipv4,
    /// IPv4 first, then IPv6.
    Both,
}

/// Runs until dropped; its pods' containers end with it.
#[derive(Debug)]
pub struct Kubelet {
    orders: Orders,
    _watch: JoinSet<()>,
}

/// By pod name: what its keeper is to do next.
type Orders = Arc<Mutex<HashMap<String, watch::Sender<Order>>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run,
    /// The containers are gone, and nobody tells the API server.
    Vanish,
    Delete,
}

/// Looks after one pod.
struct Keeper {
    pods: Api<Pod>,
    name: String,
    habits: Habits,
}

impl Kubelet {
    pub fn start(client: Client, namespace: &str, habits: Habits) -> Self {
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let orders = Orders::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_pods(pods, habits, orders.clone()));
        Self {
            orders,
            _watch: tasks,
        }
    }

    /// Ends a pod's containers as a node that dies does: the API server hears nothing.
    pub fn vanish(&self, pod: &str) {
        let orders = self.orders.lock().unwrap();
        orders[pod].send_replace(Order::Vanish);
    }
}

impl Habits {
    /// Pods that serve on for a while after SIGTERM.
    pub fn draining(drain: Duration) -> Self {
        Self {
            exit: Exit::After(drain),
            addresses: Addresses::Ipv4,
        }
    }
}

async fn keep_pods(pods: Api<Pod>, habits: Habits, orders: Orders) {
    let mut events = watch_pods(pods.clone(), watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut keepers = JoinSet::new();
    while let Some(event) = events.next().await {
        // Errors are those of an API server that a scene has killed: the stream tries again.
        let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else {
            continue;
        };
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut orders = orders.lock().unwrap();
        let order = orders.entry(name.clone()).or_insert_with(|| {
            let (sender, receiver) = watch::channel(Order::Run);
            let keeper = Keeper {
                pods: pods.clone(),
                name,
                habits,
            };
            keepers.spawn(keeper.keep(pod.clone(), receiver));
            sender
        });
        if pod.metadata.deletion_timestamp.is_some() {
            order.send_replace(Order::Delete);
        }
    }
}

impl Keeper {
    async fn keep(self, pod: Pod, mut order: watch::Receiver<Order>) {
        let addresses = self.habits.addresses.allocate();
        let ports = container_ports(&pod);
        let sockets: Vec<SocketAddr> = addresses
            .iter()
            .flat_map(|address| ports.iter().map(|port| SocketAddr::new(*address, *port)))
            .collect();
        let containers = Containers::start(&self.name, &sockets);
        self.bind(&pod).await;
        self.report_running(&addresses).await;

        let Ok(next) = order
            .wait_for(|order| *order != Order::Run)
            .await
            .map(|order| *order)
        else {
            return;
        };
        if next == Order::Vanish {
            drop(containers);
            if order
                .wait_for(|order| *order == Order::Delete)
                .await
                .is_err()
            {
                return;
            }
        } else {
            containers.stop(self.habits.exit).await;
        }
        // The last word on a pod is the kubelet's: nothing of it runs any more.
        let at_once = DeleteParams::default().grace_period(0);
        while unheard(self.pods.delete(&self.name, &at_once).await).await {}
    }

    async fn bind(&self, pod: &Pod) {
        if pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
        {
            return;
        }
        static TURN: AtomicU16 = AtomicU16::new(0);
        let (node, _) = NODES[usize::from(TURN.fetch_add(1, Relaxed)) % NODES.len()];
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": self.name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let params = PostParams::default();
        let bind = || {
            self.pods
                .create_subresource::<_, Value>("binding", &self.name, &params, &binding)
        };
        while unheard(bind().await).await {}
    }

    async fn report_running(&self, addresses: &[IpAddr]) {
        let ips: Vec<_> = addresses
            .iter()
            .map(|address| json!({"ip": address}))
            .collect();
        let conditions: Vec<_> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|kind| json!({"type": kind, "status": "True"}))
            .collect();
        let status = Patch::Merge(json!({"status": {
            "phase": "Running",
            "podIP": addresses[0],
            "podIPs": ips,
            "conditions": conditions,
        }}));
        let params = PatchParams::default();
        while unheard(self.pods.patch_status(&self.name, &params, &status).await).await {}
    }
}

impl Addresses {
    /// Addresses that no other pod of this run has had. `run.sh` makes the ranges local.
    fn allocate(self) -> Vec<IpAddr> {
        static NEXT: AtomicU16 = AtomicU16::new(256);
        let number = NEXT.fetch_add(1, Relaxed);
        let [high, low] = number.to_be_bytes();
        let v4 = IpAddr::V4(Ipv4Addr::new(10, 244, high, low));
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, number));
        match self {
            Self::Ipv4 => vec![v4],
            Self::Both => vec![v4, v6],
        }
    }
}

fn container_ports(pod: &Pod) -> Vec<u16> {
    pod.spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .flat_map(|container| container.ports.iter().flatten())
        .map(|port| u16::try_from(port.container_port).unwrap())
        .collect()
}

/// Whether a call has to be repeated, after a pause: a kubelet goes on when its API server was away.
async fn unheard<T>(outcome: kube::Result<T>) -> bool {
    match outcome {
        Ok(_) => false,
        // The pod is gone, or it is bound already by a call whose answer was lost.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => false,
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            true
        }
    }
}
