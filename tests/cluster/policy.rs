//! Injection by the API server itself: the policy of the chart, held against the function behind `podrobin inject`.

mod pods;

use http::{Method, Request};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::client::Body;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use podrobin::inject::{Installation, Outcome, PullPolicy, Resources, inject_pod};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::manifests::{apply, chart};
use crate::scene::create;
use crate::wait::{until, within};
use pods::{clashing_pods, pod, pods, unreadable};

/// Two namespaces alike, but that the policy looks at one of them.
struct Doors {
    client: Client,
    policy: String,
    plain: String,
}

/// What came of a pod.
#[derive(Debug)]
struct Created {
    pod: Value,
    warnings: Vec<String>,
}

impl Doors {
    /// `golden` is what the chart renders.
    async fn open(name: &str, golden: &str) -> Self {
        let plane = ControlPlane::shared().await;
        let client = plane.admin().await;
        let doors = Self {
            policy: format!("{name}-policy"),
            plain: format!("{name}-plain"),
            client: client.clone(),
        };
        for namespace in [&doors.policy, &doors.plain] {
            let namespaces: Api<Namespace> = Api::all(client.clone());
            create(&namespaces, json!({"metadata": {"name": namespace}})).await;
            // No pod can be made before.
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
            let default = await_condition(accounts, "default", |it: Option<&ServiceAccount>| {
                it.is_some()
            });
            within("the default ServiceAccount", default).await.unwrap();
        }
        for mut object in chart(golden) {
            let kind = object.types.as_ref().unwrap().kind.clone();
            if !kind.contains("AdmissionPolicy") {
                continue;
            }
            // Other policies of this test's run have their own namespaces, and nothing may fail silently.
            let own = format!("{name}-inject");
            object.metadata.name = Some(own.clone());
            let spec = &mut object.data["spec"];
            if kind.ends_with("Binding") {
                spec["policyName"] = own.into();
                if kind.starts_with("Validating") {
                    spec["validationActions"] = json!(["Warn"]);
                }
            } else {
                spec["failurePolicy"] = "Fail".into();
                spec["matchConstraints"]["namespaceSelector"] =
                    json!({"matchLabels": {"kubernetes.io/metadata.name": doors.policy}});
            }
            apply(&client, object).await;
        }
        until("both policies are at work", async || {
            let asks = json!({"podrobin.io/service": "cart", "podrobin.io/policy": "no such"});
            let injected = doors
                .through_policy(&pod(json!({"podrobin.io/service": "cart"})))
                .await;
            let refused = doors.through_policy(&pod(asks)).await;
            match (has_sidecar(&injected.pod), refused.warnings.is_empty()) {
                (true, false) => Ok(()),
                _ => Err(format!("{injected:?} {refused:?}")),
            }
        })
        .await;
        doors
    }

    async fn through_policy(&self, pod: &Value) -> Created {
        self.create(&self.policy, pod).await
    }

    async fn create(&self, namespace: &str, pod: &Value) -> Created {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(pod.to_string().into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let status = response.status();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings
            .map(|warning| warning.to_str().unwrap().to_owned())
            .collect();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut created: Value = serde_json::from_slice(&body).unwrap();
        assert!(status.is_success(), "{status}: {created:#}\nof {pod:#}");
        normalize(&mut created);
        Created {
            pod: created,
            warnings,
        }
    }

    /// The pod through the policy, and the same by the function.
    async fn assert_same(&self, pod: &Value, installation: &Installation) {
        let mut by_function = pod.clone();
        let outcome = inject_pod(&mut by_function, Some(&self.policy), installation);
        assert_eq!(outcome, Ok(Outcome::Injected), "{pod:#}");
        let expected = self.create(&self.plain, &by_function).await;
        let created = self.through_policy(pod).await;
        assert_eq!(
            pretty(&created.pod),
            pretty(&expected.pod),
            "through the policy, and by the function, of {pod:#}"
        );
        assert_eq!(created.warnings, Vec::<String>::new(), "{pod:#}");
        // What has the sidecar keeps it as it is.
        let again = self.through_policy(&by_function).await;
        assert_eq!(pretty(&again.pod), pretty(&expected.pod));
        assert_eq!(again.warnings, Vec::<String>::new(), "{pod:#}");
    }

    /// The pod as if there were no policy, but for a warning that holds all of `words`.
    async fn assert_refused(&self, pod: &Value, words: &[String]) {
        let expected = self.create(&self.plain, pod).await;
        let created = self.through_policy(pod).await;
        assert_eq!(pretty(&created.pod), pretty(&expected.pod));
        assert_eq!(
            created.warnings.len(),
            1,
            "{:?} of {pod:#}",
            created.warnings
        );
        // A header has its quotes escaped.
        let warning = created.warnings[0].replace('\\', "");
        for word in words {
            assert!(warning.contains(word.as_str()), "{warning}\nlacks {word}");
        }
    }
}

#[tokio::test]
async fn the_policy_gives_the_same_pod_as_podrobin_inject() {
    let doors = Doors::open("same", "policy").await;
    let installation = Installation::default();
    for pod in pods() {
        doors.assert_same(&pod, &installation).await;
    }
}

/// As in charts/podrobin/ci/policy-strict-values.yaml.
#[tokio::test]
async fn the_policy_follows_the_installation_as_podrobin_inject_does() {
    let doors = Doors::open("chosen", "policy-strict").await;
    let digest = "0123456789abcdef".repeat(4);
    let installation = Installation {
        image: format!("registry.example/podrobin@sha256:{digest}"),
        image_pull_policy: PullPolicy::IfNotPresent,
        resources: Resources {
            cpu_request: "100m".parse().ok(),
            memory_request: "64Mi".parse().ok(),
            cpu_limit: "1".parse().ok(),
            memory_limit: "256Mi".parse().ok(),
        },
        extra_env: vec![
            ("PODROBIN_LOG_FORMAT".to_owned(), "json".to_owned()),
            ("PODROBIN_MAX_CONNECTIONS".to_owned(), "2000".to_owned()),
        ],
        ..Installation::default()
    };
    for pod in pods() {
        doors.assert_same(&pod, &installation).await;
    }
}

#[tokio::test]
async fn the_policy_refuses_what_podrobin_inject_refuses_in_the_same_words() {
    let doors = Doors::open("refused", "policy").await;
    let installation = Installation::default();
    for pod in clashing_pods() {
        let refusal = inject_pod(&mut pod.clone(), Some(&doors.policy), &installation);
        match refusal {
            Err(refusal) => doors.assert_refused(&pod, refusal.problems()).await,
            Ok(outcome) => panic!("{outcome:?} of {pod:#}"),
        }
    }
    // Where the function has its words from a parser, the policy has others.
    for (annotations, words) in unreadable() {
        let pod = pod(annotations);
        let refusal = inject_pod(&mut pod.clone(), Some(&doors.policy), &installation);
        assert!(refusal.is_err(), "{pod:#}");
        doors.assert_refused(&pod, &[words.to_owned()]).await;
    }
    // What the policy cannot do, and says so.
    for annotation in [
        ("podrobin.io/capture", "true"),
        ("podrobin.io/sidecar", "plain"),
    ] {
        let (name, value) = annotation;
        let pod = pod(json!({"podrobin.io/service": "cart:80", name: value}));
        let words = [name.to_owned(), "the webhook".to_owned()];
        doors.assert_refused(&pod, &words).await;
    }
}

#[tokio::test]
async fn the_policy_leaves_alone_what_does_not_ask() {
    let doors = Doors::open("alone", "policy").await;
    for annotations in [
        json!({}),
        json!({"example.com/service": "cart"}),
        json!({"podrobin.io/service": "cart", "podrobin.io/inject": "false"}),
        json!({"podrobin.io/service": "no service!", "podrobin.io/inject": "false"}),
        json!({"podrobin.io/policy": "random"}),
    ] {
        let pod = pod(annotations);
        let expected = doors.create(&doors.plain, &pod).await;
        let created = doors.through_policy(&pod).await;
        assert_eq!(pretty(&created.pod), pretty(&expected.pod));
        assert_eq!(created.warnings, Vec::<String>::new(), "{pod:#}");
    }
}

fn has_sidecar(pod: &Value) -> bool {
    pod["spec"]["initContainers"][0]["name"] == "podrobin"
}

/// Takes away what differs between any two pods: names that are made up, times, and the order of volumes, which means
/// nothing and depends on who came first, the token of the app's own or the sidecar's.
fn normalize(pod: &mut Value) {
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        for name in [
            "uid",
            "creationTimestamp",
            "namespace",
            "managedFields",
            "generation",
        ] {
            metadata.remove(name);
        }
    }
    let generated = pod["spec"]["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|volume| {
            Some(volume["name"].as_str()?).filter(|name| name.starts_with("kube-api-access-"))
        })
        .map(str::to_owned);
    if let Some(generated) = generated {
        let text = pod.to_string().replace(&generated, "kube-api-access");
        *pod = serde_json::from_str(&text).unwrap();
    }
    if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
        volumes.sort_by_key(|volume| volume["name"].to_string());
    }
}

/// By lines, so that a difference is seen.
fn pretty(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    format!("{sorted:#}")
}
