use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rules(strict: bool) -> Rules {
    Rules {
        installation: Installation::default(),
        strict,
    }
}

fn pod(service: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-7d9f-", "labels": {"app": "web"}},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "migrate:1"}],
            "containers": [{
                "name": "app",
                "image": "app:1",
                "env": [{"name": "PASSWORD", "value": "s3cret"}],
                "futureField": {"x": [1, 2.5, null]},
            }],
        },
    });
    if let Some(service) = service {
        pod["metadata"]["annotations"] = json!({"podrobin.io/service": service});
    }
    pod
}

fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": object,
            "oldObject": null,
            "dryRun": false,
        },
    })
}

fn decided(review: &Value, strict: bool) -> Decision {
    decide(review.to_string().as_bytes(), &rules(strict)).unwrap()
}

/// The answer as the API server reads it.
fn answer(decision: &Decision) -> Value {
    let answer: Value = serde_json::from_slice(&decision.response.write().unwrap()).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].clone()
}

fn patched(object: &Value, response: &Value) -> Value {
    use base64::Engine;
    let patch = response["patch"].as_str().unwrap();
    let patch = base64::engine::general_purpose::STANDARD
        .decode(patch)
        .unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

#[test]
fn the_patch_makes_of_a_pod_what_the_injector_makes_of_it() {
    let object = pod(Some("cart:http"));
    let decision = decided(&review(&object), false);
    assert_eq!(decision.outcome, Outcome::Injected);
    assert_eq!(
        (&*decision.namespace, &*decision.pod),
        ("shop", "web-7d9f-*")
    );
    let response = answer(&decision);
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    assert!(response.get("warnings").is_none());

    let mut injected = object.clone();
    inject::inject_pod(&mut injected, Some("shop"), &Installation::default()).unwrap();
    assert_ne!(injected, object);
    assert_eq!(patched(&object, &response), injected);

    // A second review of the same pod (reinvocation) changes nothing.
    let again = decided(&review(&injected), false);
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert!(answer(&again).get("patch").is_none());
}

#[test]
fn the_namespace_is_the_requests_where_the_pod_has_none() {
    let mut object = pod(Some("cart:80"));
    object["metadata"]["annotations"]["podrobin.io/capture"] = json!("true");
    let response = answer(&decided(&review(&object), false));
    let aliases = patched(&object, &response)["spec"]["hostAliases"].to_string();
    assert!(aliases.contains("cart.shop.svc"), "{aliases}");
}

#[test]
fn a_pod_that_does_not_ask_is_left_alone() {
    let decision = decided(&review(&pod(None)), true);
    assert_eq!(decision.outcome, Outcome::NotAsked);
    assert_eq!(
        answer(&decision),
        json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true})
    );
}

#[test]
fn a_sidecar_that_is_not_asked_for_any_more_is_taken_out() {
    let mut object = pod(Some("cart:http"));
    inject::inject_pod(&mut object, Some("shop"), &Installation::default()).unwrap();
    object["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("podrobin.io/service");
    let decision = decided(&review(&object), false);
    assert_eq!(decision.outcome, Outcome::NotAsked);
    let after = patched(&object, &answer(&decision));
    assert!(!after["spec"].to_string().contains("podrobin"), "{after}");
}

#[test]
fn what_is_no_new_pod_is_allowed_as_it_is() {
    let asking = review(&pod(Some("cart:http")));
    for (field, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/operation", json!("DELETE")),
        ("/request/kind/kind", json!("Service")),
        ("/request/kind/group", json!("apps")),
        ("/request/kind/version", json!("v2")),
        ("/request/subResource", json!("status")),
    ] {
        let mut review = asking.clone();
        let (parent, name) = field.rsplit_once('/').unwrap();
        review.pointer_mut(parent).unwrap()[name] = value;
        // There is none when something is deleted.
        review["request"]["object"] = Value::Null;
        let decision = decided(&review, true);
        assert_eq!(decision.outcome, Outcome::Other, "{field}");
        let response = answer(&decision);
        assert_eq!(response["allowed"], true);
        assert!(response.get("patch").is_none());
    }
}

#[test]
fn a_pod_that_asks_for_something_wrong_is_made_with_warnings_that_name_the_mend() {
    let mut object = pod(Some("cart:http"));
    object["metadata"]["annotations"]["podrobin.io/policy"] = json!("fairest\nof them all");
    object["metadata"]["annotations"]["podrobin.io/listen"] = json!("x".repeat(1000));
    let decision = decided(&review(&object), false);
    assert_eq!(decision.outcome, Outcome::Refused);
    let response = answer(&decision);
    assert_eq!(response["allowed"], true);
    assert!(response.get("patch").is_none());
    let warnings: Vec<&str> = response["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for warning in &warnings {
        assert!(warning.starts_with("podrobin: no sidecar: "), "{warning}");
        assert!(warning.len() <= LONGEST_WARNING, "{warning}");
        assert!(!warning.contains(char::is_control), "{warning}");
    }
    for name in ["podrobin.io/policy", "podrobin.io/listen"] {
        assert!(
            warnings.iter().any(|warning| warning.contains(name)),
            "{name}"
        );
    }
}

#[test]
fn a_pod_on_the_hosts_network_is_made_without_sidecar() {
    let mut object = pod(Some("cart:http"));
    object["spec"]["hostNetwork"] = json!(true);
    let response = answer(&decided(&review(&object), false));
    assert!(response["warnings"].to_string().contains("hostNetwork"));
    assert!(response.get("patch").is_none());
}

#[test]
fn a_pod_that_goes_past_its_sidecar_is_injected_with_a_warning_however_strict() {
    let mut object = pod(Some("cart:80"));
    object["metadata"]["annotations"]["podrobin.io/capture"] = json!("true");
    object["spec"]["containers"][0]["env"][0] =
        json!({"name": "CART_URL", "value": "http://s3cret@cart.shop.svc.cluster.local./"});
    for strict in [false, true] {
        let decision = decided(&review(&object), strict);
        assert_eq!(decision.outcome, Outcome::Injected);
        let response = answer(&decision);
        assert_eq!(response["allowed"], true);
        let injected = patched(&object, &response);
        assert_eq!(
            response["warnings"],
            json!([
                "podrobin: container app has cart.shop.svc.cluster.local. in variable CART_URL: leave the dot at its end \
                 away, or use PODROBIN_CART_URL, as with it most resolvers ask DNS and go past the sidecar"
            ])
        );
        // It is in the log as well, where no value may be.
        assert_eq!(decision.warnings.len(), 1);
        let again = answer(&decided(&review(&injected), strict));
        assert_eq!(again["warnings"], response["warnings"]);
    }
    object["metadata"]["annotations"]["podrobin.io/inject"] = json!("false");
    let response = answer(&decided(&review(&object), false));
    assert!(response.get("warnings").is_none());
}

#[test]
fn strict_refuses_it_with_the_same_words() {
    let mut object = pod(Some("cart:http"));
    object["metadata"]["annotations"]["podrobin.io/policy"] = json!("fairest");
    let decision = decided(&review(&object), true);
    assert_eq!(decision.outcome, Outcome::Refused);
    let response = answer(&decision);
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains(&decision.problems[0]), "{message}");
    assert!(response.get("warnings").is_none());
}

#[test]
fn many_problems_are_counted_where_they_are_not_shown() {
    let problems: Vec<String> = (0..20).map(|n| format!("problem {n}")).collect();
    let shown = warnings("podrobin: no sidecar: ", &problems);
    assert_eq!(shown.len(), MOST_WARNINGS);
    assert_eq!(shown[0], "podrobin: no sidecar: problem 0");
    assert_eq!(shown[7], "podrobin: no sidecar: and 13 problems more");
    assert_eq!(warnings("", &problems[..8]).len(), 8);
}

#[test]
fn a_warning_is_cut_between_characters() {
    for length in 200..260 {
        let cut = shortened(&"ä".repeat(length), LONGEST_WARNING);
        assert!(cut.len() <= LONGEST_WARNING);
        assert!(cut.ends_with("...") || length * 2 <= LONGEST_WARNING);
    }
}

#[test]
fn names_that_nobody_has_checked_are_shown_harmlessly() {
    let mut object = pod(None);
    object["metadata"]["name"] = json!("a\nfake line \u{1b}[31m");
    let decision = decided(&review(&object), false);
    assert_eq!(decision.pod, "a?fake?line???31m");
}

#[test]
fn what_is_no_review_is_said_without_what_was_in_it() {
    let good = review(&pod(None));
    let with = |field: &str, value: Value| {
        let mut review = good.clone();
        *review.pointer_mut(field).unwrap() = value;
        review.to_string()
    };
    for (body, why) in [
        (String::new(), "ends too early"),
        ("{\"apiVersion\"".to_owned(), "ends too early"),
        ("s3cret".to_owned(), "not JSON, at line 1"),
        ("[]".to_owned(), "not an AdmissionReview"),
        ("{}".to_owned(), "not an AdmissionReview"),
        (format!("{good} x"), "not JSON"),
        (
            format!("{{\"request\":{{\"object\":{}", "[".repeat(100_000)),
            "not JSON",
        ),
        (
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "admissionReviewVersions",
        ),
        (with("/kind", json!("Pod")), "admission.k8s.io/v1"),
        (with("/request", Value::Null), "no request"),
        (with("/request", json!("s3cret")), "of another type"),
        (with("/request/uid", json!("")), "no uid"),
        (with("/request/object", Value::Null), "no object"),
        (with("/request/kind", json!({})), "a field is missing"),
    ] {
        let error = decide(body.as_bytes(), &rules(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn what_is_not_read_may_be_anything() {
    let asking = review(&pod(Some("cart:http"))).to_string();
    let (before, after) = asking.split_once("system:serviceaccount").unwrap();
    for skipped in [b"\xef".as_slice(), b"\\ud800"] {
        let body = [before.as_bytes(), skipped, after.as_bytes()].concat();
        assert!(serde_json::from_slice::<Value>(&body).is_err());
        let decision = decide(&body, &rules(true)).unwrap();
        assert_eq!(decision.outcome, Outcome::Injected);
    }
}

#[test]
fn a_pod_of_any_shape_is_answered() {
    for object in [
        json!({}),
        json!([]),
        json!("pod"),
        json!({"metadata": null, "spec": null}),
        json!({"metadata": {"annotations": {"podrobin.io/service": "cart:http"}}}),
        json!({"metadata": {"annotations": {"podrobin.io/service": 7}}, "spec": []}),
        json!({"metadata": {"annotations": {"podrobin.io/service": "cart:http"}}, "spec": {"containers": {}}}),
        json!({"metadata": {"annotations": {"podrobin.io/service": "cart:http"}}, "spec": {"containers": [null, 1]}}),
    ] {
        let response = answer(&decided(&review(&object), false));
        assert_eq!(response["allowed"], true);
        if response.get("patch").is_some() {
            patched(&object, &response);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decide(&body, &rules(false));
    }

    /// A whole review with a piece torn out, or another byte somewhere.
    #[test]
    fn no_damage_is_too_much(at in 0_usize..700, gone in 0_usize..40, byte: u8) {
        let mut body = review(&pod(Some("cart:http"))).to_string().into_bytes();
        let at = at.min(body.len() - 1);
        let end = (at + gone).min(body.len());
        body.splice(at..end, [byte]);
        if let Ok(decision) = decide(&body, &rules(false)) {
            answer(&decision);
        }
    }
}
