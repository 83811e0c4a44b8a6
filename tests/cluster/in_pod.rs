//! In a pod: no kubeconfig, but an environment and a folder that the kubelet keeps up to date.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::{conditions, wait::await_condition};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::kubelet::Habits;
use crate::load::Load;
use crate::relay::Relay;
use crate::scene::{READER, Scene, create};
use crate::sidecar::Sidecar;
use crate::wait::{until, within};

/// How long a new token may take to be used: the client reads the file about every 50 s, and tries every 15 s at
/// least.
const RENEWAL: Duration = Duration::from_secs(120);

/// A pod's service account folder, as the kubelet makes it: what is in it is a link to what is in a hidden folder, and
/// all of it changes when one link does.
struct Account {
    folder: PathBuf,
    versions: u32,
}

impl Account {
    /// With the API server's authority and the scene's namespace; there is no token before [`Self::write`].
    fn new(scene: &Scene) -> Self {
        let folder = scene.plane.file(&format!("{}.account", scene.namespace));
        fs::create_dir(&folder).unwrap();
        for name in ["ca.crt", "namespace", "token"] {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
        Self {
            folder,
            versions: 0,
        }
    }

    fn write(&mut self, scene: &Scene, token: &str) {
        self.versions += 1;
        let version = format!("..version-{}", self.versions);
        let files = self.folder.join(&version);
        fs::create_dir(&files).unwrap();
        fs::copy(scene.plane.certificate(), files.join("ca.crt")).unwrap();
        fs::write(files.join("namespace"), &scene.namespace).unwrap();
        fs::write(files.join("token"), token).unwrap();
        let link = self.folder.join("..data_tmp");
        symlink(&version, &link).unwrap();
        fs::rename(link, self.folder.join("..data")).unwrap();
    }
}

/// A pod of the reader, and a token that lives no longer than the pod.
async fn pod_and_token(scene: &Scene, name: &str) -> String {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": READER,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "app"}],
        },
    });
    let pod = create(&scene.api::<Pod>(), pod).await;
    let bound = json!({
        "audiences": [],
        "expirationSeconds": 600,
        "boundObjectRef": {
            "apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.metadata.uid,
        },
    });
    scene.token_of(READER, bound).await
}

/// Ends the pod, and waits until the API server refuses its token: it remembers good ones for 10 s.
async fn end(scene: &Scene, pod: &str, token: &str) {
    let pods = scene.api::<Pod>();
    let at_once = DeleteParams::default().grace_period(0);
    let deleted = pods.delete(pod, &at_once).await.unwrap();
    if let Some(uid) = deleted.left().and_then(|pod| pod.metadata.uid) {
        let gone = await_condition(pods, pod, conditions::is_deleted(&uid));
        within("the pod is gone", gone).await.unwrap();
    }
    let client = scene.plane.client(token).await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(client, &scene.namespace);
    until("the pod's token is refused", async || {
        match slices.list(&ListParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 401 => Ok(()),
            other => Err(format!("{:?}", other.map(|list| list.items.len()))),
        }
    })
    .await;
}

#[tokio::test]
async fn the_pods_own_credentials_are_used_and_followed_when_they_are_renewed() {
    let plane = ControlPlane::shared().await;
    let relay = Relay::start(plane.api_address()).await;
    let scene = Scene::on(plane, "in-pod", Habits::draining(Duration::ZERO)).await;
    scene.grant().await;
    scene.cart(2).await;
    let mut account = Account::new(&scene);
    let first = pod_and_token(&scene, "first").await;
    account.write(&scene, &first);

    // The namespace is the pod's own.
    let mut sidecar = Sidecar::start_in_pod(&account.folder, relay.address, "cart:http").await;
    sidecar.ready().await;
    sidecar.settled(2).await;
    scene.scale("cart", 3).await;
    sidecar.settled(3).await;
    let load = Load::start(sidecar.proxy(), 2, Duration::from_millis(20));

    // The token ends, and a watch that is opened with it does not come about.
    end(&scene, "first", &first).await;
    relay.interrupt();
    let target = sidecar
        .target("the refusal is told", |target| {
            let error = target.watch.error.as_deref().unwrap_or_default();
            target.watch.phase == "stale" && error.contains("(401)")
        })
        .await;
    assert_eq!(target.ready(), 3, "{target:?}");

    let second = pod_and_token(&scene, "second").await;
    account.write(&scene, &second);
    scene.scale("cart", 4).await;
    let target = sidecar
        .target_within(RENEWAL, "the new token is used", |target| {
            target.watch.phase == "live" && target.ready() == 4
        })
        .await;
    assert_eq!(target.watch.error, None);
    load.finish().await.assert_none_failed();
    for token in [first, second] {
        assert!(!sidecar.lines().contains(&token), "a token was logged");
    }
    assert!(sidecar.terminate().await.success());
}
