//! Every reason for which a pod is refused, and that it is then left as it was.

use super::*;

type Annotations<'a> = &'a [(&'a str, &'a str)];

/// Asserts that a pod is refused, unchanged, in words that hold all of `words`.
fn refused(pod: &Value, words: &[&str]) {
    let mut tried = pod.clone();
    let refusal = inject(&mut tried).expect_err(&format!("{words:?} {pod:#}"));
    let text = refusal.to_string();
    assert_eq!(&tried, pod, "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn annotations_that_make_no_sense() {
    let cases: &[(Annotations, &[&str])] = &[
        (
            &[("service", "")],
            &["podrobin.io/service", "names no Service"],
        ),
        (&[("service", "Cart")], &["[NAMESPACE/]NAME[:PORT]"]),
        (&[("service", "cart, pay")], &["without spaces"]),
        (&[("service", "cart,")], &["podrobin.io/service"]),
        (&[("service", "0=cart")], &["port 0", "9001=cart"]),
        (
            &[("service", "cart"), ("listen", "0")],
            &["podrobin.io/listen", "1 to 65535"],
        ),
        (
            &[("service", "cart"), ("listen", "localhost:1")],
            &["podrobin.io/listen"],
        ),
        (
            &[("service", "cart"), ("policy", "fair")],
            &["podrobin.io/policy", "fair"],
        ),
        (
            &[("service", "shop/cart"), ("policy", "shop/pay=random")],
            &[
                "podrobin.io/policy has a policy for shop/pay, which annotation podrobin.io/service does not name",
            ],
        ),
        (
            &[("service", "cart"), ("policy", "random,weighted")],
            &["podrobin.io/policy has two policies for all"],
        ),
        (
            &[("service", "cart"), ("log-level", "loud")],
            &["podrobin.io/log-level", "`loud`"],
        ),
        (
            &[("service", "cart"), ("admin-port", "80")],
            &["podrobin.io/admin-port", "1024"],
        ),
        (
            &[("service", "cart"), ("capture", "yes")],
            &["podrobin.io/capture", "true or false"],
        ),
        (
            &[("service", "cart"), ("inject", "no")],
            &["podrobin.io/inject", "true or false"],
        ),
        (
            &[("service", "cart"), ("sidecar", "ambient")],
            &["podrobin.io/sidecar", "native"],
        ),
        (
            &[("service", "cart"), ("cpu-request", "0")],
            &["podrobin.io/cpu-request"],
        ),
        (
            &[("service", "cart"), ("memory-limit", "lots")],
            &["podrobin.io/memory-limit"],
        ),
        (
            &[("service", "cart"), ("image", "x")],
            &["podrobin.io/image", "installation"],
        ),
        (
            &[("servce", "cart")],
            &["podrobin.io/servce", "did you mean podrobin.io/service?"],
        ),
        (
            &[("service", "cart"), ("memory-request", "256Mi")],
            &["256Mi", "128Mi", "raise podrobin.io/memory-limit"],
        ),
        (
            &[("service", "cart"), ("cpu-limit", "10m")],
            &["50m", "10m", "podrobin.io/cpu-request"],
        ),
    ];
    for (annotations, words) in cases {
        refused(&pod(annotations), words);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let pod = pod(&[
        ("service", "Cart"),
        ("policy", "fair"),
        ("loglevel", "debug"),
    ]);
    refused(
        &pod,
        &[
            "podrobin.io/service",
            "podrobin.io/policy",
            "podrobin.io/loglevel",
        ],
    );
    assert_eq!(inject(&mut pod.clone()).unwrap_err().problems().len(), 3);
}

#[test]
fn what_is_told_is_one_line_of_bounded_length() {
    let long = "x\n".repeat(10_000);
    refused(&pod(&[("service", &long)]), &["podrobin.io/service", "…"]);
    let names: Vec<String> = (0..100)
        .map(|number| format!("a{number}{}", "\t".repeat(1_000)))
        .collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let refusal = inject(&mut pod(&[&many[..], &[("service", "cart")]].concat())).unwrap_err();
    assert!(refusal.to_string().len() < 10_000);
}

#[test]
fn a_value_that_is_no_text() {
    let mut pod = pod(&[("service", "cart")]);
    pod["metadata"]["annotations"]["podrobin.io/capture"] = json!(true);
    refused(&pod, &["podrobin.io/capture", "in quotes"]);
}

#[test]
fn services_that_are_in_each_others_way() {
    let cases: &[(&str, &[&str])] = &[
        (
            "cart:http,pay:http",
            &["cart:http", "pay:http", "127.0.0.1:8000", "9001=pay:http"],
        ),
        ("9001=cart,0.0.0.0:9001=pay", &["9001"]),
        ("cart,9001=shop/cart", &["shop/cart", "twice"]),
        ("9800=cart", &["9800", "podrobin.io/admin-port"]),
        ("127.0.1.1:80=cart", &["127.0.1.0/24"]),
    ];
    for (service, words) in cases {
        refused(&pod(&[("service", service)]), words);
    }
    // Another port is another target.
    injected(pod(&[("service", "cart:http,9001=cart:admin")]));
}

#[test]
fn captures_that_cannot_be() {
    let cases: &[(&str, &[&str])] = &[
        ("cart", &["number", "cart:80"]),
        ("cart:http", &["number", "cart:80"]),
        ("9001=cart:80", &["127.0.0.1:9001", "drop one"]),
        ("cart:80,shop/cart:80", &["twice"]),
        ("cart:9800", &["9800", "podrobin.io/admin-port"]),
        (
            "default/kubernetes:443",
            &["API server", "leave default/kubernetes:443 out"],
        ),
    ];
    for (service, words) in cases {
        refused(&pod(&[("service", service), ("capture", "true")]), words);
    }
    let listen = [
        ("service", "cart:80"),
        ("capture", "true"),
        ("listen", "8000"),
    ];
    refused(
        &pod(&listen),
        &["podrobin.io/listen", "podrobin.io/capture"],
    );
    let many: Vec<String> = (0..255).map(|number| format!("s{number}:8080")).collect();
    refused(
        &pod(&[("service", &many.join(",")), ("capture", "true")]),
        &["254"],
    );
    injected(pod(&[
        ("service", &many[..254].join(",")),
        ("capture", "true"),
    ]));
}

#[test]
fn a_capture_without_a_namespace() {
    let mut pod = pod(&[("service", "shop/cart:80"), ("capture", "true")]);
    pod["metadata"]
        .as_object_mut()
        .unwrap()
        .shift_remove("namespace");
    refused(&pod, &["namespace", "--namespace"]);
}

/// A pod that asks for a captured Service on port 80, with something changed.
fn capturing(change: impl Fn(&mut Value)) -> Value {
    let mut pod = pod(&[("service", "cart:80"), ("capture", "true")]);
    change(&mut pod["spec"]);
    pod
}

#[test]
fn what_stands_in_the_sidecars_way() {
    let cases: Vec<(Value, &[&str])> = vec![
        (
            capturing(|spec| spec["hostNetwork"] = json!(true)),
            &["hostNetwork"],
        ),
        (
            capturing(|spec| spec["os"] = json!({"name": "windows"})),
            &["Windows"],
        ),
        (
            capturing(|spec| spec["nodeSelector"] = json!({"kubernetes.io/os": "windows"})),
            &["Windows"],
        ),
        (
            capturing(|spec| spec["initContainers"] = json!([{"name": "podrobin"}])),
            &["container podrobin", "not injected"],
        ),
        (
            capturing(|spec| spec["volumes"] = json!([{"name": "podrobin-token", "emptyDir": {}}])),
            &["volume podrobin-token"],
        ),
        (
            capturing(|spec| spec["containers"][0]["ports"] = json!([{"containerPort": 80}])),
            &["container app", "port 80", "cart:80", "podrobin.io/capture"],
        ),
        (
            capturing(|spec| spec["containers"][0]["ports"] = json!([{"containerPort": 9800}])),
            &["container app", "9800", "podrobin.io/admin-port"],
        ),
        (
            capturing(|spec| {
                spec["hostAliases"] = json!([{"ip": "127.0.1.1", "hostnames": ["x"]}]);
            }),
            &["hostAliases", "127.0.1.1"],
        ),
        (
            capturing(|spec| {
                spec["hostAliases"] = json!([{"ip": "10.0.0.1", "hostnames": ["x", "cart.shop"]}]);
            }),
            &["hostAliases", "cart.shop elsewhere"],
        ),
        (
            capturing(|spec| {
                spec["securityContext"] = json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "81"}]});
            }),
            &["81", "port 80", "set it to 0"],
        ),
        (
            capturing(|spec| {
                spec["securityContext"] =
                    json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start"}]});
            }),
            &["not set", "port 80", "set it to 0"],
        ),
    ];
    for (pod, words) in &cases {
        refused(pod, words);
    }
}

#[test]
fn a_port_of_the_app_where_the_sidecar_listens() {
    let mut pod = pod(&[("service", "cart")]);
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8000, "protocol": "UDP"}]);
    injected(pod.clone());
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8000}]);
    refused(&pod, &["container app", "port 8000", "podrobin.io/listen"]);
    pod["metadata"]["annotations"]["podrobin.io/listen"] = json!("8001");
    injected(pod);
}

#[test]
fn a_plain_sidecar_that_would_keep_a_job_from_its_end() {
    for restarts in ["Never", "OnFailure"] {
        let mut pod = pod(&[("service", "cart"), ("sidecar", "plain")]);
        pod["spec"]["restartPolicy"] = json!(restarts);
        refused(&pod, &[restarts, "podrobin.io/sidecar"]);
    }
}

#[test]
fn what_is_no_pod() {
    for spec in [
        json!(null),
        json!([]),
        json!({"containers": "app"}),
        json!({"containers": ["app"]}),
        json!({"containers": [{"name": "app", "env": {}}]}),
        json!({"volumes": {}}),
        json!({"initContainers": 1}),
        json!({"hostAliases": "x"}),
        json!({"securityContext": []}),
        json!({"securityContext": {"sysctls": {}}}),
    ] {
        let mut pod = pod(&[("service", "cart:80"), ("capture", "true")]);
        pod["spec"] = spec;
        refused(&pod, &[]);
    }
    for nothing in [
        json!(null),
        json!(1),
        json!([]),
        json!({}),
        json!({"metadata": []}),
    ] {
        assert_eq!(inject(&mut nothing.clone()), Ok(Outcome::NotAsked));
        assert!(!uninject_pod(&mut nothing.clone()));
    }
}

#[test]
fn null_is_what_is_not_there() {
    let mut pod = pod(&[("service", "cart:80"), ("capture", "true")]);
    for key in [
        "initContainers",
        "volumes",
        "hostAliases",
        "securityContext",
    ] {
        pod["spec"][key] = Value::Null;
    }
    pod["spec"]["containers"][0]["env"] = Value::Null;
    injected(pod);
}
