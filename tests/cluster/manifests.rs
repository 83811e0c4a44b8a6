//! The manifests in `deploy/`, on a real API server, and those of the chart for others to try.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, ResourceExt};
use podrobin::inject::{Installation, inject_pod};

use crate::control_plane::ControlPlane;
use crate::kubelet::Habits;
use crate::load;
use crate::scene::Scene;
use crate::sidecar::Sidecar;
use crate::wait::until;

/// The namespace that the manifests name.
const SHOP: &str = "shop";

/// Every field is known to the API server, the pods pass Pod Security at its strictest, and the sidecar works with
/// exactly the environment, the ServiceAccount and the rights that the manifests give it.
#[tokio::test]
async fn the_example_works_with_the_rights_it_is_given() {
    let plane = ControlPlane::shared().await;
    let admin = plane.admin().await;
    for mut object in [deploy("example.yaml"), deploy("rbac.yaml")].concat() {
        // As the webhook and the policy do to its pods, and `podrobin inject` to the file.
        if let Some(template) = object.data.pointer_mut("/spec/template") {
            inject_pod(template, Some(SHOP), &Installation::default()).unwrap();
        }
        apply(&admin, object).await;
    }
    let scene = Scene::adopt(plane.clone(), SHOP, Habits::draining(Duration::ZERO)).await;
    scene.settled("cart", 3).await;

    let pod = running_client(&scene).await;
    let spec = pod.spec.as_ref().unwrap();
    let container = &spec.init_containers.as_ref().unwrap()[0];
    assert_eq!(container.restart_policy.as_deref(), Some("Always"));
    let account = spec.service_account_name.as_deref().unwrap();

    let token = scene.token(account).await;
    let kubeconfig = plane.file("example.kubeconfig");
    std::fs::write(&kubeconfig, plane.kubeconfig(plane.api_address(), &token)).unwrap();
    let sidecar = Sidecar::start(&kubeconfig, &[], &environment(container, &pod)).await;
    sidecar.ready().await;
    sidecar.settled(3).await;
    assert!(
        !sidecar.lines().contains("no such setting"),
        "{}",
        sidecar.lines()
    );
    let mut client = load::Client::new(sidecar.proxy());
    let mut answers = BTreeSet::new();
    for _ in 0..3 {
        answers.insert(client.get().await.unwrap());
    }
    assert_eq!(answers.len(), 3, "{answers:?}");

    assert_rights(&plane.client(&token).await.unwrap()).await;
}

/// The reader may do what podrobin does, in its Service's namespace, and nothing beside.
async fn assert_rights(reader: &Client) {
    let slices: Api<EndpointSlice> = Api::namespaced(reader.clone(), SHOP);
    let all = ListParams::default();
    slices.list(&all).await.unwrap();
    let services: Api<Service> = Api::namespaced(reader.clone(), SHOP);
    services.get("cart").await.unwrap();

    let others: Api<EndpointSlice> = Api::namespaced(reader.clone(), "default");
    let pods: Api<Pod> = Api::namespaced(reader.clone(), SHOP);
    let secrets: Api<Secret> = Api::namespaced(reader.clone(), SHOP);
    for refusal in [
        others.list(&all).await.err(),
        services.list(&all).await.err(),
        pods.list(&all).await.err(),
        secrets.list(&all).await.err(),
    ] {
        match refusal {
            Some(kube::Error::Api(status)) if status.code == 403 => {}
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// What is in one of the manifests of `deploy/`.
fn deploy(file: &str) -> Vec<DynamicObject> {
    objects(&Path::new("deploy").join(file))
}

/// What the chart renders of one of its sets of values; `charts/check.sh` sees to it that it does.
pub fn chart(golden: &str) -> Vec<DynamicObject> {
    objects(&Path::new("charts/goldens").join(format!("{golden}.yaml")))
}

fn objects(path: &Path) -> Vec<DynamicObject> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let objects: Vec<DynamicObject> = serde_saphyr::from_multiple(&text).unwrap();
    assert!(!objects.is_empty(), "{} is empty", path.display());
    objects
}

/// What `kubectl apply --server-side --validate=strict` does.
pub async fn apply(client: &Client, object: DynamicObject) {
    let types = object.types.as_ref().unwrap();
    let kind = GroupVersionKind::try_from(types).unwrap();
    let (resource, capabilities) = pinned_kind(client, &kind).await.unwrap();
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap();
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let mut params = PatchParams::apply("cluster-tests");
    params.field_validation = Some(ValidationDirective::Strict);
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .unwrap_or_else(|error| panic!("{} {name}: {error}", types.kind));
}

/// The client's pod, when it has its address.
async fn running_client(scene: &Scene) -> Pod {
    let pods = scene.api::<Pod>();
    let selector = ListParams::default().labels("app.kubernetes.io/name=client");
    until("the client's pod runs", async || {
        let found = pods.list(&selector).await.unwrap();
        let running = found.items.into_iter().find(|pod| {
            let status = pod.status.as_ref();
            status.is_some_and(|status| status.pod_ip.is_some())
        });
        running.ok_or_else(|| "there is none with an address".to_owned())
    })
    .await
}

/// What the kubelet puts into the container's environment.
fn environment(container: &Container, pod: &Pod) -> Vec<(String, String)> {
    let value = |variable: &EnvVar| match &variable.value_from {
        None => variable.value.clone().unwrap_or_default(),
        Some(source) => field(pod, &source.field_ref.as_ref().unwrap().field_path),
    };
    container
        .env
        .iter()
        .flatten()
        .map(|variable| (variable.name.clone(), value(variable)))
        .collect()
}

fn field(pod: &Pod, path: &str) -> String {
    let pod = serde_json::to_value(pod).unwrap();
    let pointer = format!("/{}", path.replace('.', "/"));
    let value = pod.pointer(&pointer).and_then(|value| value.as_str());
    value
        .unwrap_or_else(|| panic!("the pod has no {path}"))
        .to_owned()
}
