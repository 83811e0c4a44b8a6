//! What a pod gets, what it is refused for, and the way back.

mod again;
mod capture;
mod properties;
mod refusals;
mod warnings;

use super::*;
use serde_json::json;

/// A pod of namespace `shop` with these annotations of ours.
fn pod(annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(name, value)| (format!("podrobin.io/{name}"), json!(value)))
        .collect();
    json!({
        "metadata": {"namespace": "shop", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
}

fn inject(pod: &mut Value) -> Result<Outcome, Refusal> {
    inject_pod(pod, None, &Installation::default())
}

fn injected(mut pod: Value) -> Value {
    assert_eq!(inject(&mut pod), Ok(Outcome::Injected), "{pod:#}");
    pod
}

/// The native sidecar's variables that have a value.
fn variables(pod: &Value, container: &str) -> Vec<(String, String)> {
    let env = pod.pointer(&format!("/spec/{container}/env")).unwrap();
    env.as_array()
        .unwrap()
        .iter()
        .filter_map(|variable| {
            let text = |key: &str| Some(variable.get(key)?.as_str()?.to_owned());
            Some((text("name")?, text("value")?))
        })
        .collect()
}

fn value(pod: &Value, container: &str, name: &str) -> Option<String> {
    let mut all = variables(pod, container).into_iter();
    all.find(|(own, _)| own == name).map(|(_, value)| value)
}

const SIDECAR: &str = "initContainers/0";
const APP: &str = "containers/0";

#[test]
fn the_annotations_that_run_knows_become_its_variables_word_for_word() {
    let pod = injected(pod(&[
        ("service", "cart:http,9001=pay/pay:80"),
        ("listen", "8080"),
        ("policy", "random"),
        ("log-level", "podrobin::discovery=debug"),
        ("admin-port", "9801"),
    ]));
    let expected = [
        ("PODROBIN_SERVICE", "cart:http,9001=pay/pay:80"),
        ("PODROBIN_LISTEN", "8080"),
        ("PODROBIN_POLICY", "random"),
        ("PODROBIN_LOG_LEVEL", "podrobin::discovery=debug"),
        ("PODROBIN_ADMIN", "0.0.0.0:9801"),
        ("PODROBIN_MAX_CONNECTIONS", "500"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables(&pod, SIDECAR), expected);
    assert_eq!(
        pod["spec"]["initContainers"][0]["ports"][0]["containerPort"],
        9801
    );
}

#[test]
fn a_pod_that_does_not_ask_is_left_alone() {
    for annotations in [
        &[][..],
        &[("policy", "random")],
        &[("inject", "false"), ("service", "cart")],
        // Of no consequence where nothing is asked for.
        &[("inject", "false"), ("servce", "cart"), ("policy", "fair")],
    ] {
        let before = pod(annotations);
        let mut pod = before.clone();
        assert_eq!(inject(&mut pod), Ok(Outcome::NotAsked), "{annotations:?}");
        assert_eq!(pod, before);
    }
}

#[test]
fn the_sidecar_is_first_and_those_after_it_know_where_it_is() {
    let mut before = pod(&[("service", "shopping-cart:http")]);
    before["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    before["spec"]["containers"][0]["env"] =
        json!([{"name": "URL", "value": "$(PODROBIN_SHOPPING_CART_URL)/v1"}]);
    let pod = injected(before);
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "podrobin");
    let url = ("PODROBIN_SHOPPING_CART_URL", "http://127.0.0.1:8000");
    let target = ("PODROBIN_SHOPPING_CART_TARGET", "127.0.0.1:8000");
    let expected = [url, target].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables(&pod, "initContainers/1"), expected);
    // Before the app's own, which may refer to them.
    assert_eq!(variables(&pod, APP)[..2], expected);
    assert_eq!(variables(&pod, APP)[2].0, "URL");
}

#[test]
fn the_address_of_a_listener_on_all_addresses_is_the_pods_own() {
    for (listen, url) in [
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        ("[::1]:81", "http://[::1]:81"),
    ] {
        let pod = injected(pod(&[("service", "cart"), ("listen", listen)]));
        assert_eq!(value(&pod, APP, "PODROBIN_CART_URL").as_deref(), Some(url));
    }
}

#[test]
fn of_two_entries_with_one_name_the_first_has_the_variables() {
    let pod = injected(pod(&[(
        "service",
        "cart:http,9001=cart:admin,9002=other/cart,9003=pay",
    )]));
    let names: Vec<String> = variables(&pod, APP)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = ["CART_URL", "CART_TARGET", "PAY_URL", "PAY_TARGET"];
    assert_eq!(names, expected.map(|name| format!("PODROBIN_{name}")));
    assert_eq!(
        value(&pod, APP, "PODROBIN_CART_TARGET").as_deref(),
        Some("127.0.0.1:8000")
    );
}

#[test]
fn a_variable_that_the_app_has_itself_is_left_to_it_for_good() {
    for own in ["http://elsewhere", "http://127.0.0.1:8000"] {
        let mut before = pod(&[("service", "cart")]);
        before["spec"]["containers"][0]["env"] =
            json!([{"name": "PODROBIN_CART_URL", "value": own}]);
        let mut pod = injected(before.clone());
        assert_eq!(value(&pod, APP, "PODROBIN_CART_URL").as_deref(), Some(own));
        assert_eq!(
            pod["spec"]["containers"][0]["env"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(inject(&mut pod), Ok(Outcome::Unchanged));
        assert!(uninject_pod(&mut pod));
        assert_eq!(pod, before);
    }
}

#[test]
fn plain_sidecars_are_first_among_the_containers_and_hold_the_others_back() {
    let mut before = pod(&[("service", "cart"), ("sidecar", "plain")]);
    before["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    let mut pod = injected(before.clone());
    let sidecar = pod["spec"]["containers"][0].clone();
    assert_eq!(sidecar["name"], "podrobin");
    assert!(sidecar.get("restartPolicy").is_none());
    assert_eq!(
        sidecar["lifecycle"]["postStart"]["exec"]["command"],
        json!(["/podrobin", "await"])
    );
    assert_eq!(
        sidecar["lifecycle"]["preStop"]["exec"]["command"],
        json!(["/podrobin", "sleep", "10s"])
    );
    // It runs before the sidecar, and could not reach it.
    assert_eq!(
        pod["spec"]["initContainers"],
        before["spec"]["initContainers"]
    );
    assert_eq!(
        value(&pod, "containers/1", "PODROBIN_CART_TARGET").as_deref(),
        Some("127.0.0.1:8000")
    );
    assert!(uninject_pod(&mut pod));
    assert_eq!(pod, before);
}

#[test]
fn amounts_are_the_pods_or_the_installations() {
    let installation = Installation {
        resources: Resources {
            cpu_limit: "2".parse().ok(),
            ..Resources::default()
        },
        ..Installation::default()
    };
    let mut pod = pod(&[
        ("service", "cart"),
        ("cpu-request", "0.1"),
        ("memory-limit", "1Gi"),
    ]);
    inject_pod(&mut pod, None, &installation).unwrap();
    assert_eq!(
        pod["spec"]["initContainers"][0]["resources"],
        json!({
            "requests": {"cpu": "0.1", "memory": "32Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        })
    );
}

#[test]
fn further_variables_come_last_and_replace_what_is_there() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let installation = Installation {
        extra_env: vec![
            variable("PODROBIN_MAX_CONNECTIONS", "50"),
            variable("X", "1"),
        ],
        ..Installation::default()
    };
    let mut pod = pod(&[("service", "cart")]);
    inject_pod(&mut pod, None, &installation).unwrap();
    let expected = [
        variable("PODROBIN_SERVICE", "cart"),
        variable("PODROBIN_MAX_CONNECTIONS", "50"),
        variable("X", "1"),
    ];
    assert_eq!(variables(&pod, SIDECAR), expected);
}

/// The sidecar starts with what injection wrote: it is `podrobin run`'s own reading of it that counts.
#[test]
fn what_the_sidecar_is_told_is_a_command_line_that_run_takes() {
    for annotations in [
        &[("service", "cart")][..],
        &[
            ("service", "cart:http,9001=pay/pay:80"),
            ("listen", "8080"),
            ("policy", "random"),
        ],
        &[
            ("service", "cart:80,pay/pay:8080,cart:81"),
            ("capture", "true"),
            ("log-level", "debug"),
        ],
    ] {
        let pod = injected(pod(annotations));
        let flags = variables(&pod, SIDECAR).into_iter().map(|(name, value)| {
            let flag = name
                .strip_prefix("PODROBIN_")
                .unwrap()
                .to_lowercase()
                .replace('_', "-");
            format!("--{flag}={value}")
        });
        let args = ["podrobin", "run", "--namespace=shop"]
            .map(str::to_owned)
            .into_iter()
            .chain(flags);
        let surroundings = crate::cli::Surroundings {
            namespace: None,
            workers: std::num::NonZeroUsize::MIN,
        };
        let parsed = crate::cli::parse(args.map(Into::into), &surroundings);
        assert!(parsed.is_ok(), "{annotations:?}: {parsed:?}");
    }
}
