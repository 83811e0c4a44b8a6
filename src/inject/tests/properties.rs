//! Of any pod: injected twice is injected once, the way back leads where it came from, and nothing ever panics.

use super::*;
use proptest::prelude::*;

/// What a value of an annotation may be: mostly something that is taken.
fn annotation() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("service", "cart"),
        ("service", "cart:80"),
        ("service", "shop/cart:80,cart:81,pay/pay:8080"),
        ("service", "cart,9001=pay:http,80=shop/stock"),
        ("service", "cart,9001=cart:admin"),
        ("service", "cart,pay"),
        ("capture", "true"),
        ("capture", "false"),
        ("listen", "8080"),
        ("listen", "[::]:80"),
        ("policy", "random"),
        ("log-level", "debug"),
        ("admin-port", "9801"),
        ("sidecar", "plain"),
        ("memory-limit", "64Mi"),
        ("inject", "false"),
        ("kept", "sysctl,app/PODROBIN_CART_URL"),
        ("nonsense", "x"),
    ])
}

fn variable() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"name": "PODROBIN_CART_URL", "value": "http://127.0.0.1:8000"}),
        json!({"name": "PODROBIN_CART_TARGET", "value": "127.0.0.1:8000"}),
        json!({"name": "PODROBIN_CART_TARGET", "value": "127.0.1.1:80"}),
        json!({"name": "PODROBIN_PAY_URL", "value": "http://elsewhere"}),
        json!({"name": "OTHER", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
    ])
}

fn container() -> impl Strategy<Value = Value> {
    let env = prop::collection::vec(variable(), 0..4);
    let port = prop::option::of(prop::sample::select(vec![80, 8000, 8080, 9800]));
    (env, port).prop_map(|(env, port)| {
        let mut container = json!({"name": "app"});
        if !env.is_empty() {
            container["env"] = json!(env);
        }
        if let Some(port) = port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        container
    })
}

fn aliases() -> impl Strategy<Value = Vec<Value>> {
    let alias = prop::sample::select(vec![
        json!({"ip": "10.0.0.1", "hostnames": ["db"]}),
        json!({"ip": "127.0.1.1", "hostnames": ["me"]}),
        json!({"ip": "10.0.0.2", "hostnames": ["cart.shop.svc"]}),
    ]);
    prop::collection::vec(alias, 0..3)
}

fn sysctls() -> impl Strategy<Value = Vec<Value>> {
    let sysctl = prop::sample::select(vec![
        json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}),
        json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"}),
        json!({"name": "net.ipv4.tcp_syncookies", "value": "1"}),
    ]);
    prop::collection::vec(sysctl, 0..2)
}

fn any_pod() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(annotation(), 0..5),
        prop::collection::vec(container(), 1..3),
        prop::collection::vec(container(), 0..2),
        aliases(),
        sysctls(),
        prop::option::of(prop::sample::select(vec!["shop", "other"])),
    )
        .prop_map(
            |(annotations, containers, init, aliases, sysctls, namespace)| {
                let mut pod = pod(&annotations);
                let metadata = pod["metadata"].as_object_mut().unwrap();
                match namespace {
                    Some(namespace) => metadata["namespace"] = json!(namespace),
                    None => drop(metadata.shift_remove("namespace")),
                }
                let mut containers = containers;
                let mut init = init;
                // Names are unique in a pod.
                for (index, container) in containers.iter_mut().chain(&mut init).enumerate() {
                    container["name"] = json!(format!("app-{index}"));
                }
                let spec = &mut pod["spec"];
                spec["containers"] = json!(containers);
                if !init.is_empty() {
                    spec["initContainers"] = json!(init);
                }
                if !aliases.is_empty() {
                    spec["hostAliases"] = json!(aliases);
                }
                if !sysctls.is_empty() {
                    spec["securityContext"] = json!({"sysctls": sysctls});
                }
                pod
            },
        )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "podrobin",
            "podrobin-token",
            "cart:80",
            "true",
            "PODROBIN_SERVICE",
            ""
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "metadata",
        "annotations",
        "podrobin.io/service",
        "podrobin.io/capture",
        "spec",
        "containers",
        "initContainers",
        "volumes",
        "volumeMounts",
        "hostAliases",
        "securityContext",
        "sysctls",
        "env",
        "ports",
        "name",
        "value",
    ]);
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(entries.collect())
            }),
        ]
    })
}

/// What a pod has of `podrobin.io/kept` is not its own to say.
fn without_kept(mut pod: Value) -> Value {
    let annotations = pod
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut);
    annotations.map(|annotations| annotations.shift_remove("podrobin.io/kept"));
    pod
}

proptest! {
    #[test]
    fn twice_is_once_and_the_way_back_leads_home(before in any_pod()) {
        let before = without_kept(before);
        let mut pod = before.clone();
        match inject(&mut pod) {
            Ok(Outcome::Injected) => {
                let once = pod.to_string();
                prop_assert_eq!(inject(&mut pod), Ok(Outcome::Unchanged));
                prop_assert_eq!(pod.to_string(), once);
                prop_assert!(uninject_pod(&mut pod));
                prop_assert_eq!(pod, before);
            }
            Ok(Outcome::NotAsked) => prop_assert_eq!(pod, before),
            Ok(Outcome::Unchanged) => prop_assert!(false, "it had no sidecar"),
            Err(refusal) => {
                prop_assert!(!refusal.problems().is_empty());
                prop_assert_eq!(pod, before);
            }
        }
    }

    #[test]
    fn any_change_of_annotations_ends_as_if_it_had_been_so_from_the_start(
        before in any_pod(),
        later in prop::collection::vec(annotation(), 0..5),
    ) {
        let before = without_kept(before);
        let mut changed = before.clone();
        let _ = inject(&mut changed);
        let mut fresh = before;
        let later = without_kept(pod(&later))["metadata"]["annotations"].clone();
        for pod in [&mut changed, &mut fresh] {
            let kept = pod["metadata"]["annotations"].get("podrobin.io/kept").cloned();
            pod["metadata"]["annotations"] = later.clone();
            if let Some(kept) = kept {
                pod["metadata"]["annotations"]["podrobin.io/kept"] = kept;
            }
        }
        let outcome = inject(&mut fresh);
        let again = inject(&mut changed);
        prop_assert_eq!(outcome.is_err(), again.is_err());
        if outcome.is_ok() {
            prop_assert_eq!(changed, fresh);
        }
    }

    #[test]
    fn no_json_makes_it_panic(mut value in any_json()) {
        let mut other = value.clone();
        let _ = uninject_pod(&mut other);
        if let Ok(Outcome::Injected) = inject(&mut value) {
            prop_assert_eq!(inject(&mut value), Ok(Outcome::Unchanged));
        }
    }
}
