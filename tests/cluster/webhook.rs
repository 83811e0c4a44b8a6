//! The API server asks `podrobin webhook` about new pods.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, client::Body};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kubelet::Habits;
use crate::scene::{Scene, create};
use crate::sidecar::Sidecar;
use crate::wait::until;

/// A certificate of its own for 127.0.0.1.
struct Secret {
    folder: TempDir,
    certificate: String,
}

impl Secret {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = pem("CERTIFICATE", certificate.der());
        std::fs::write(folder.path().join("tls.crt"), &certificate).unwrap();
        let key = pem("PRIVATE KEY", &key.serialize_der());
        std::fs::write(folder.path().join("tls.key"), key).unwrap();
        Self {
            folder,
            certificate,
        }
    }

    async fn serve(&self, flags: &[&str]) -> Sidecar {
        let path = |name: &str| self.folder.path().join(name);
        let webhook = Sidecar::start_webhook(&path("tls.crt"), &path("tls.key"), flags).await;
        webhook.ready().await;
        webhook
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// What the chart would install, for the pods of one namespace.
fn configuration(scene: &Scene, secret: &Secret, webhook: &Sidecar) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": scene.namespace},
        "webhooks": [{
            "name": "inject.podrobin.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "timeoutSeconds": 5,
            "clientConfig": {
                "url": format!("https://{}/mutate", webhook.proxy()),
                "caBundle": STANDARD.encode(&secret.certificate),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "operations": ["CREATE"],
                "scope": "Namespaced",
            }],
        }],
    })
}

fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": format!("{name}-"), "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
}

/// Creates a pod; the warnings that came with the answer.
async fn created(scene: &Scene, pod: &Value) -> (Result<Pod, String>, Vec<String>) {
    let request = Request::post(format!("/api/v1/namespaces/{}/pods", scene.namespace))
        .header("content-type", "application/json")
        .body(Body::from(pod.to_string().into_bytes()))
        .unwrap();
    let response = scene.admin.0.send(request).await.unwrap();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings
        .map(|warning| warning.to_str().unwrap().to_owned())
        .collect();
    let status = response.status();
    let body = response.into_body().collect_bytes().await.unwrap();
    if status.is_success() {
        (Ok(serde_json::from_slice(&body).unwrap()), warnings)
    } else {
        (Err(String::from_utf8(body.to_vec()).unwrap()), warnings)
    }
}

fn sidecar(pod: &Pod) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    let first = spec.init_containers.as_ref()?.first()?;
    (first.name == "podrobin").then_some(first)
}

#[tokio::test]
async fn pods_get_their_sidecar_as_they_are_made() {
    let scene = Scene::open("webhook", Habits::draining(Duration::ZERO)).await;
    let secret = Secret::new();
    let mut webhook = secret.serve(&[]).await;
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(scene.admin.0.clone());
    create(&webhooks, configuration(&scene, &secret, &webhook)).await;
    let asking = pod("web", &json!({"podrobin.io/service": "cart:http"}));

    // The API server needs a moment to hear of the webhook.
    let injected = until("a pod is injected", async || {
        let (pod, warnings) = created(&scene, &asking).await;
        assert_eq!(warnings, Vec::<String>::new());
        let pod = pod.unwrap();
        match sidecar(&pod) {
            Some(_) => Ok(pod),
            None => Err("it has no sidecar".to_owned()),
        }
    })
    .await;
    let container = sidecar(&injected).unwrap();
    assert_eq!(container.restart_policy.as_deref(), Some("Always"));
    // The token is its own, and not the one that the API server mounts into every container.
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let tokens: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount.mount_path.ends_with("/serviceaccount"))
        .map(|mount| mount.name.as_str())
        .collect();
    assert_eq!(tokens, ["podrobin-token"]);
    let app = &injected.spec.as_ref().unwrap().containers[0];
    let variables = app.env.as_deref().unwrap_or_default();
    assert!(
        variables.iter().any(|it| it.name == "PODROBIN_CART_URL"),
        "{variables:?}"
    );

    // Others are left alone.
    let (plain, warnings) = created(&scene, &pod("plain", &json!({}))).await;
    assert!(sidecar(&plain.unwrap()).is_none());
    assert_eq!(warnings, Vec::<String>::new());

    // Something wrong is made without, and said to whoever makes it.
    let wrong = pod(
        "wrong",
        &json!({"podrobin.io/service": "cart:http", "podrobin.io/policy": "fairest"}),
    );
    let (without, warnings) = created(&scene, &wrong).await;
    assert!(sidecar(&without.unwrap()).is_none());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("podrobin.io/policy"), "{warnings:?}");

    // A Deployment's pods come through a controller, and tell their namespace only in the review.
    let template = json!({"spec": {"template": {"metadata": {"annotations": {
        "podrobin.io/service": "cart:80",
        "podrobin.io/capture": "true",
    }}}}});
    scene.deployment("web", "web", 1, json!([])).await;
    scene
        .api::<k8s_openapi::api::apps::v1::Deployment>()
        .patch("web", &PatchParams::default(), &Patch::Merge(&template))
        .await
        .unwrap();
    let pods = scene.api::<Pod>();
    until("the Deployment's pod is injected", async || {
        let web = ListParams::default().labels("app=web");
        let listed = pods.list(&web).await.map_err(|error| error.to_string())?;
        let aliases = listed.items.iter().filter(|pod| sidecar(pod).is_some());
        let names: Vec<String> = aliases
            .flat_map(|pod| {
                pod.spec
                    .iter()
                    .flat_map(|spec| spec.host_aliases.iter().flatten())
            })
            .flat_map(|alias| alias.hostnames.clone().unwrap_or_default())
            .collect();
        match names.contains(&"cart.webhook.svc".to_owned()) {
            true => Ok(()),
            false => Err(format!("{names:?}")),
        }
    })
    .await;

    // Away, it keeps nobody from making pods.
    assert!(webhook.terminate().await.success(), "{}", webhook.lines());
    let (without, _) = created(&scene, &asking).await;
    assert!(sidecar(&without.unwrap()).is_none());
    webhooks
        .delete(&scene.namespace, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn strict_refuses_a_pod_that_asks_for_something_wrong() {
    let scene = Scene::open("webhook-strict", Habits::draining(Duration::ZERO)).await;
    let secret = Secret::new();
    let webhook = secret.serve(&["--strict"]).await;
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(scene.admin.0.clone());
    create(&webhooks, configuration(&scene, &secret, &webhook)).await;
    let mut wrong = pod("wrong", &json!({"podrobin.io/service": "cart:http"}));
    wrong["spec"]["hostNetwork"] = json!(true);
    let refusal = until("the pod is refused", async || {
        let (pod, _) = created(&scene, &wrong).await;
        pod.err().ok_or_else(|| "it was made".to_owned())
    })
    .await;
    let refusal: Value = serde_json::from_str(&refusal).unwrap();
    assert_eq!(refusal["code"], 422, "{refusal}");
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("inject.podrobin.io"), "{message}");
    assert!(message.contains("hostNetwork"), "{message}");
    let (right, _) = created(
        &scene,
        &pod("right", &json!({"podrobin.io/service": "cart:http"})),
    )
    .await;
    assert!(sidecar(&right.unwrap()).is_some());
    webhooks
        .delete(&scene.namespace, &DeleteParams::default())
        .await
        .unwrap();
}
