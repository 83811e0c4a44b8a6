//! The stage of one test: a Kubernetes namespace with pods, Services, rights, and sidecars that watch it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_slices};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::kubelet::{Habits, Kubelet};
use crate::sidecar::Sidecar;
use crate::wait::within;

/// The ServiceAccount that sidecars of a scene run under, and the Role that lets it read.
pub const READER: &str = "reader";

/// A Kubernetes namespace with a kubelet of its own.
#[derive(Debug)]
pub struct Scene {
    pub plane: Arc<ControlPlane>,
    pub namespace: String,
    pub admin: AdminClient,
    pub kubelet: Kubelet,
}

/// [`Client`] says nothing of itself.
#[derive(Clone)]
pub struct AdminClient(pub Client);

/// How many endpoints of a Service's slices are in which condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub slices: usize,
    pub ready: usize,
    pub terminating: usize,
}

impl Scene {
    /// On the shared plane, with a reader that has its rights.
    pub async fn open(namespace: &str, habits: Habits) -> Self {
        let scene = Self::on(ControlPlane::shared().await, namespace, habits).await;
        scene.grant().await;
        scene
    }

    /// Without any right for the reader.
    pub async fn on(plane: Arc<ControlPlane>, namespace: &str, habits: Habits) -> Self {
        let namespaces: Api<Namespace> = Api::all(plane.admin().await);
        create(&namespaces, json!({"metadata": {"name": namespace}})).await;
        let scene = Self::adopt(plane, namespace, habits).await;
        let accounts = scene.api::<ServiceAccount>();
        create(&accounts, json!({"metadata": {"name": READER}})).await;
        // Made by a controller, and no pod can be made before.
        let default = await_condition(accounts, "default", |it: Option<&ServiceAccount>| {
            it.is_some()
        });
        within("the default ServiceAccount", default).await.unwrap();
        scene
    }

    /// In a Kubernetes namespace that is there already.
    pub async fn adopt(plane: Arc<ControlPlane>, namespace: &str, habits: Habits) -> Self {
        let client = plane.admin().await;
        Self {
            plane,
            namespace: namespace.to_owned(),
            admin: AdminClient(client.clone()),
            kubelet: Kubelet::start(client, namespace, habits),
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.0.clone(), &self.namespace)
    }

    /// A Service that selects the pods labelled `app: NAME`, by `ports`.
    pub async fn service(&self, name: &str, ports: Value) {
        let spec = json!({"selector": {"app": name}, "ports": ports});
        self.service_of(name, spec).await;
    }

    pub async fn service_of(&self, name: &str, spec: Value) {
        let service = json!({"metadata": {"name": name}, "spec": spec});
        create(&self.api::<Service>(), service).await;
    }

    /// A Deployment of pods labelled `app: APP`, whose container has `ports`.
    pub async fn deployment(&self, name: &str, app: &str, replicas: usize, ports: Value) {
        let labels = json!({"app": app, "deployment": name});
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "app", "image": "app", "ports": ports}]},
                },
            },
        });
        create(&self.api::<Deployment>(), deployment).await;
    }

    /// Service `cart` with its port `http`, 80 to 8080, and a Deployment for it whose pods are all in its slices.
    pub async fn cart(&self, replicas: usize) {
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        self.service("cart", ports).await;
        let ports = json!([{"name": "http", "containerPort": 8080}]);
        self.deployment("cart", "cart", replicas, ports).await;
        self.settled("cart", replicas).await;
    }

    pub async fn scale(&self, deployment: &str, replicas: usize) {
        let scale = json!({"spec": {"replicas": replicas}});
        self.api::<Deployment>()
            .patch_scale(deployment, &PatchParams::default(), &Patch::Merge(&scale))
            .await
            .unwrap();
    }

    /// What `kubectl rollout restart` does; returns when every pod is a new one and available.
    pub async fn roll(&self, deployment: &str) {
        static ROLLS: AtomicU16 = AtomicU16::new(1);
        let roll = ROLLS.fetch_add(1, Relaxed).to_string();
        let template = json!({"spec": {"template": {"metadata": {"annotations": {"roll": roll}}}}});
        let deployments = self.api::<Deployment>();
        deployments
            .patch(
                deployment,
                &PatchParams::default(),
                &Patch::Merge(&template),
            )
            .await
            .unwrap();
        let rolled = await_condition(deployments, deployment, is_rolled_out);
        within("the rollout ends", rolled).await.unwrap();
    }

    /// Waits until the Service's slices have this many ready endpoints and nothing else.
    pub async fn settled(&self, service: &str, ready: usize) {
        let what = format!("{service} has {ready} ready endpoints");
        self.slices(service, &what, |slices| {
            let standing = Standing::of(slices);
            standing.ready == ready && standing.terminating == 0
        })
        .await;
    }

    /// Watches the Service's slices until they are as wanted; returns them.
    pub async fn slices(
        &self,
        service: &str,
        what: &str,
        wanted: impl Fn(&BTreeMap<String, EndpointSlice>) -> bool,
    ) -> BTreeMap<String, EndpointSlice> {
        let selector = format!("kubernetes.io/service-name={service}");
        let config = watcher::Config::default().labels(&selector);
        let mut events = watch_slices(self.api::<EndpointSlice>(), config)
            .default_backoff()
            .boxed();
        let mut slices = BTreeMap::new();
        let mut whole = false;
        within(what, async {
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Init) => {
                        slices.clear();
                        whole = false;
                    }
                    Ok(Event::InitDone) => whole = true,
                    Ok(Event::InitApply(slice) | Event::Apply(slice)) => {
                        slices.insert(slice.metadata.name.clone().unwrap_or_default(), slice);
                    }
                    Ok(Event::Delete(slice)) => {
                        slices.remove(&slice.metadata.name.unwrap_or_default());
                    }
                    Err(_) => {}
                }
                if whole && wanted(&slices) {
                    return;
                }
            }
        })
        .await;
        slices
    }

    /// Lets the reader read, by the rules that the README names.
    pub async fn grant(&self) {
        let role = json!({
            "metadata": {"name": READER},
            "rules": [
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
            ],
        });
        create(&self.api::<Role>(), role).await;
        let binding = json!({
            "metadata": {"name": READER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER},
            "subjects": [{"kind": "ServiceAccount", "name": READER, "namespace": self.namespace}],
        });
        create(&self.api::<RoleBinding>(), binding).await;
    }

    pub async fn revoke(&self) {
        let at_once = DeleteParams::default();
        self.api::<RoleBinding>()
            .delete(READER, &at_once)
            .await
            .unwrap();
        self.api::<Role>().delete(READER, &at_once).await.unwrap();
    }

    /// A token as a pod of that ServiceAccount gets it.
    pub async fn token(&self, account: &str) -> String {
        let spec = json!({"audiences": [], "expirationSeconds": 3600});
        self.token_of(account, spec).await
    }

    /// The token that a `TokenRequest` of this spec brings.
    pub async fn token_of(&self, account: &str, spec: Value) -> String {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": spec,
        });
        let issued: TokenRequest = self
            .api::<ServiceAccount>()
            .create_subresource("token", account, &PostParams::default(), &request)
            .await
            .unwrap();
        issued.status.and_then(|status| status.token).unwrap()
    }

    /// The binary, with the reader's token, for a Service of this namespace (`NAME[:PORT]`).
    pub async fn sidecar(&self, service: &str) -> Sidecar {
        self.sidecar_by(self.plane.api_address(), service, &[])
            .await
    }

    /// The same by way of a relay to the API server, or in a certain environment.
    pub async fn sidecar_by(
        &self,
        server: SocketAddr,
        service: &str,
        environment: &[(String, String)],
    ) -> Sidecar {
        let token = self.token(READER).await;
        let kubeconfig = self.plane.file(&format!("{}.kubeconfig", self.namespace));
        std::fs::write(&kubeconfig, self.plane.kubeconfig(server, &token)).unwrap();
        let service = format!("{}/{service}", self.namespace);
        Sidecar::start(&kubeconfig, &["--service", &service], environment).await
    }
}

impl Standing {
    pub fn of(slices: &BTreeMap<String, EndpointSlice>) -> Self {
        let mut standing = Self {
            slices: slices.len(),
            ..Self::default()
        };
        for endpoint in slices
            .values()
            .flat_map(|slice| slice.endpoints.iter().flatten())
        {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            standing.ready += usize::from(conditions.ready.unwrap_or(true));
            standing.terminating += usize::from(conditions.terminating.unwrap_or(false));
        }
        standing
    }
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminClient")
    }
}

/// Creates an object from what a manifest would say.
pub async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}

fn is_rolled_out(deployment: Option<&Deployment>) -> bool {
    let Some((spec, status)) = deployment.and_then(|it| Some(&it.spec).zip(it.status.as_ref()))
    else {
        return false;
    };
    let generation = deployment.and_then(|it| it.metadata.generation);
    status.observed_generation >= generation
        && status.updated_replicas == spec.replicas
        && status.available_replicas == spec.replicas
        && status.replicas == spec.replicas
}
