//! Pods for the policy and the function alike, by what is to become of them.

use serde_json::{Value, json};

pub fn pod(annotations: Value) -> Value {
    with(annotations, json!({}))
}

/// A pod with an app's container, and more in its spec.
fn with(annotations: Value, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client"},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    });
    pod["metadata"]["annotations"] = annotations;
    if let Value::Object(more) = spec {
        pod["spec"].as_object_mut().unwrap().extend(more);
    }
    pod
}

/// All that the policy supports, and pods of many shapes.
pub fn pods() -> Vec<Value> {
    let cart = || json!({"podrobin.io/service": "cart:http"});
    let choosing =
        |policy: &str| pod(json!({"podrobin.io/service": "cart", "podrobin.io/policy": policy}));
    vec![
        choosing("round-robin"),
        choosing("weighted"),
        choosing("weighted:orca"),
        choosing("weighted:orca:blackout=0:expiry=20s:error-penalty=100:update=100ms"),
        choosing("weighted:orca:blackout=1m:expiry=1h:error-penalty=0.125:update=10s"),
        choosing("weighted:orca:error-penalty=2,cart=weighted:orca:update=5s"),
        choosing("least-request"),
        choosing("least-request:choices=10"),
        choosing("peak-ewma:decay=500ms"),
        choosing("peak-ewma:decay=3600s"),
        choosing("hash:path"),
        choosing("hash:header=x-user-id"),
        pod(cart()),
        pod(
            json!({"podrobin.io/service": "shop/cart:http,9001=shop/pay:8080,127.0.0.1:9002=my-stock"}),
        ),
        // Two namespaces, one name: the first has the variables.
        pod(json!({"podrobin.io/service": "shop/cart,9001=market/cart"})),
        pod(
            json!({"podrobin.io/service": "cart,9001=shop/pay:http", "podrobin.io/policy": "weighted,shop/pay=hash:header=x-user-id"}),
        ),
        pod(
            json!({"podrobin.io/service": "hash:http", "podrobin.io/policy": "hash:http=least-request:choices=3"}),
        ),
        pod(json!({"podrobin.io/service": "cart", "podrobin.io/listen": "0.0.0.0:8080"})),
        pod(json!({"podrobin.io/service": "cart,9001=pay", "podrobin.io/listen": "[::1]:9001"})),
        pod(json!({"podrobin.io/service": "cart", "podrobin.io/listen": "[::]:8080"})),
        pod(json!({
            "podrobin.io/service": "cart:80",
            "podrobin.io/listen": "8080",
            "podrobin.io/policy": "random",
            "podrobin.io/log-level": "warn,podrobin::discovery=debug",
            "podrobin.io/admin-port": "9801",
            "podrobin.io/inject": "true",
            "podrobin.io/capture": "false",
            "podrobin.io/sidecar": "native",
        })),
        pod(json!({
            "podrobin.io/service": "cart",
            "podrobin.io/cpu-request": "0.2",
            "podrobin.io/memory-request": "48Mi",
            "podrobin.io/cpu-limit": "1500m",
            "podrobin.io/memory-limit": "1Gi",
        })),
        // Ports below 1024, with and without a word of the pod's on them.
        pod(json!({"podrobin.io/service": "80=cart"})),
        with(
            json!({"podrobin.io/service": "80=cart"}),
            json!({"securityContext": {"runAsUser": 1000, "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 1"}]}}),
        ),
        with(
            json!({"podrobin.io/service": "80=cart"}),
            json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]}}),
        ),
        with(
            cart(),
            json!({"initContainers": [
                {"name": "migrate", "image": "app", "env": [{"name": "A", "value": "1"}]},
                {"name": "other-sidecar", "image": "other", "restartPolicy": "Always"},
            ]}),
        ),
        with(
            cart(),
            json!({"containers": [
                {"name": "app", "image": "app", "env": [
                    {"name": "MINE", "value": "$(PODROBIN_CART_URL)/items"},
                    {"name": "PODROBIN_CART_TARGET", "value": "elsewhere:80"},
                ]},
                {"name": "same", "image": "app", "env": [{"name": "PODROBIN_CART_URL", "value": "http://127.0.0.1:8000"}]},
                {"name": "helper", "image": "helper", "ports": [
                    {"containerPort": 8080}, {"containerPort": 8000, "protocol": "UDP"},
                ]},
            ]}),
        ),
        with(cart(), json!({"automountServiceAccountToken": false})),
        with(
            cart(),
            json!({
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [{"name": "app", "image": "app", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
            }),
        ),
    ]
}

/// What stands in the sidecar's way.
pub fn clashing_pods() -> Vec<Value> {
    let cart = || json!({"podrobin.io/service": "cart:http"});
    let listens = |port: u16| json!({"containers": [{"name": "app", "image": "app", "ports": [{"containerPort": port}]}]});
    vec![
        with(cart(), json!({"hostNetwork": true})),
        with(cart(), json!({"os": {"name": "windows"}})),
        with(
            cart(),
            json!({"nodeSelector": {"kubernetes.io/os": "windows"}}),
        ),
        with(cart(), listens(8000)),
        with(cart(), listens(9800)),
        with(
            cart(),
            json!({"containers": [{"name": "app", "image": "app"}, {"name": "podrobin", "image": "mine"}]}),
        ),
        with(
            cart(),
            json!({"volumes": [{"name": "podrobin-token", "emptyDir": {}}]}),
        ),
        with(
            json!({"podrobin.io/service": "80=cart"}),
            json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "500"}]}}),
        ),
        pod(json!({"podrobin.io/service": "cart,pay"})),
        pod(json!({"podrobin.io/service": "cart,9001=cart"})),
        pod(json!({"podrobin.io/service": "9001=cart,0.0.0.0:9001=pay"})),
        pod(json!({"podrobin.io/service": "9800=cart"})),
        pod(json!({"podrobin.io/service": "cart", "podrobin.io/policy": "pay=random"})),
        pod(json!({"podrobin.io/service": "cart:http", "podrobin.io/policy": "cart:grpc=random"})),
        pod(json!({"podrobin.io/service": "cart", "podrobin.io/policy": "random,hash:path"})),
        pod(
            json!({"podrobin.io/service": "cart", "podrobin.io/policy": "cart=random,weighted,cart=random"}),
        ),
        pod(
            json!({"podrobin.io/service": "cart", "podrobin.io/cpu-request": "2", "podrobin.io/cpu-limit": "1"}),
        ),
        pod(json!({"podrobin.io/service": "cart", "podrobin.io/memory-request": "1Gi"})),
        // Two problems are both told.
        with(
            cart(),
            json!({"hostNetwork": true, "containers": [
                {"name": "app", "image": "app", "ports": [{"containerPort": 8000, "hostPort": 8000}]},
            ]}),
        ),
    ]
}

/// Annotations that mean nothing, and a word of what is said.
pub fn unreadable() -> Vec<(Value, &'static str)> {
    let and = |name: &str, value: &str| json!({"podrobin.io/service": "cart", name: value});
    vec![
        (json!({"podrobin.io/service": ""}), "podrobin.io/service"),
        (and("podrobin.io/policy", "fairest"), "least-request"),
        (
            and("podrobin.io/policy", "least-request:choices=1"),
            "podrobin.io/policy",
        ),
        (
            and("podrobin.io/policy", "peak-ewma:decay=3601s"),
            "podrobin.io/policy",
        ),
        (and("podrobin.io/policy", "hash"), "podrobin.io/policy"),
        (
            and("podrobin.io/policy", "weighted:orca:update=1s:expiry=1m"),
            "podrobin.io/policy",
        ),
        (
            and("podrobin.io/policy", "weighted:orca:error-penalty=100.1"),
            "podrobin.io/policy",
        ),
        (
            and("podrobin.io/policy", "weighted:orca:update=11s"),
            "podrobin.io/policy",
        ),
        (and("podrobin.io/policy", "cart=fair"), "podrobin.io/policy"),
        (
            and("podrobin.io/policy", "Cart=random"),
            "podrobin.io/policy",
        ),
        (and("podrobin.io/policy", "random,"), "podrobin.io/policy"),
        (
            and("podrobin.io/policy", "hash:header="),
            "podrobin.io/policy",
        ),
        (
            json!({"podrobin.io/service": "cart, 9001=pay"}),
            "a comma alone",
        ),
        (
            json!({"podrobin.io/service": "Cart"}),
            "[LISTEN=][NAMESPACE/]NAME[:PORT]",
        ),
        (
            json!({"podrobin.io/service": "0=cart"}),
            "podrobin.io/service",
        ),
        (
            json!({"podrobin.io/service": "127.0.0.1:70000=cart"}),
            "127.0.0.1:70000",
        ),
        (
            json!({"podrobin.io/service": "300.0.0.1:9001=cart"}),
            "300.0.0.1:9001",
        ),
        (
            json!({"podrobin.io/service": "127.0.1.1:80=cart"}),
            "127.0.1.0/24 is for captured Services",
        ),
        (
            and("podrobin.io/listen", "localhost:8000"),
            "podrobin.io/listen",
        ),
        (and("podrobin.io/policy", "least"), "round-robin"),
        (
            and("podrobin.io/log-level", "loud"),
            "podrobin.io/log-level",
        ),
        (
            and("podrobin.io/admin-port", "80"),
            "between 1024 and 65535",
        ),
        (
            and("podrobin.io/cpu-request", "much"),
            "podrobin.io/cpu-request",
        ),
        (
            and("podrobin.io/memory-limit", "0"),
            "podrobin.io/memory-limit",
        ),
        (and("podrobin.io/inject", "yes"), "true or false"),
        (
            and("podrobin.io/image", "evil"),
            "there is no annotation podrobin.io/image",
        ),
        (
            json!({"podrobin.io/servce": "cart"}),
            "there is no annotation podrobin.io/servce",
        ),
    ]
}
