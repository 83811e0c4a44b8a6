//! The sidecar's container and the volume with its token, as Kubernetes is to run them.

use serde_json::{Map, Value, json};

use super::listeners::{DEFAULT_ADMIN_PORT, Listeners};
use super::pod::{CONTAINER, VOLUME};
use super::request::Request;
use super::{Installation, Quantity, Resources, SidecarMode};

/// Where a pod looks for its token.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the default memory limit is safe with; docs/configuration.md has the sums.
const MOST_CONNECTIONS: &str = "500";

/// Where the program is in its image, for what is run beside it.
const PROGRAM: &str = "/podrobin";

pub(super) fn container(
    request: &Request,
    listeners: &Listeners,
    mode: SidecarMode,
    resources: &Resources,
    installation: &Installation,
) -> Value {
    let mut container = Map::new();
    let mut set = |key: &str, value: Value| {
        container.insert(key.to_owned(), value);
    };
    set("name", json!(CONTAINER));
    set("image", json!(installation.image));
    set(
        "imagePullPolicy",
        json!(installation.image_pull_policy.as_str()),
    );
    if mode == SidecarMode::Native {
        set("restartPolicy", json!("Always"));
    }
    set("args", json!(["run"]));
    set("env", Value::Array(env(request, listeners, installation)));
    set(
        "ports",
        json!([{"name": "podrobin-admin", "containerPort": listeners.admin.port()}]),
    );
    set(
        "livenessProbe",
        json!({
            "httpGet": {"path": "/livez", "port": "podrobin-admin"},
            "periodSeconds": 10,
        }),
    );
    set("lifecycle", lifecycle(mode));
    set("resources", amounts(resources));
    set("terminationMessagePolicy", json!("FallbackToLogsOnError"));
    set(
        "securityContext",
        json!({
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    set(
        "volumeMounts",
        json!([{"name": VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true}]),
    );
    Value::Object(container)
}

fn env(request: &Request, listeners: &Listeners, installation: &Installation) -> Vec<Value> {
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![text(
        "PODROBIN_SERVICE",
        &listeners.variable(&request.service),
    )];
    if let Some((listen, _)) = &request.listen {
        env.push(text("PODROBIN_LISTEN", listen));
    }
    if let Some(policy) = &request.policy {
        env.push(text("PODROBIN_POLICY", policy));
    }
    if let Some(level) = &request.log_level {
        env.push(text("PODROBIN_LOG_LEVEL", level));
    }
    if listeners.admin.port() != DEFAULT_ADMIN_PORT {
        env.push(text("PODROBIN_ADMIN", &listeners.admin.to_string()));
    }
    env.extend([
        field("PODROBIN_POD_NAME", "metadata.name"),
        field("PODROBIN_NAMESPACE", "metadata.namespace"),
        field("PODROBIN_NODE", "spec.nodeName"),
        field("PODROBIN_POD_IP", "status.podIP"),
        text("PODROBIN_MAX_CONNECTIONS", MOST_CONNECTIONS),
    ]);
    for (name, value) in &installation.extra_env {
        let extra = text(name, value);
        match env.iter_mut().find(|own| super::pod::name(own) == name) {
            Some(own) => *own = extra,
            None => env.push(extra),
        }
    }
    env
}

/// The one place for how the app's start waits for the sidecar: the next container starts after the last one's
/// `postStart`. A startup probe, which is tried once a second, had the app wait for up to a second more.
///
/// A plain sidecar gets its signal with the app, and `preStop` comes before that. Both are run in the sidecar's image,
/// which holds no shell.
fn lifecycle(mode: SidecarMode) -> Value {
    let run = |command: &[&str]| json!({"exec": {"command": command}});
    let ready = run(&[PROGRAM, "await"]);
    match mode {
        SidecarMode::Native => json!({"postStart": ready}),
        SidecarMode::Plain => {
            json!({"postStart": ready, "preStop": run(&[PROGRAM, "sleep", "10s"])})
        }
    }
}

fn amounts(resources: &Resources) -> Value {
    let of = |cpu: &Option<Quantity>, memory: &Option<Quantity>| {
        let named = [("cpu", cpu), ("memory", memory)];
        let given = named.into_iter().filter_map(|(name, amount)| {
            Some((name.to_owned(), json!(amount.as_ref()?.to_string())))
        });
        Value::Object(given.collect())
    };
    json!({
        "requests": of(&resources.cpu_request, &resources.memory_request),
        "limits": of(&resources.cpu_limit, &resources.memory_limit),
    })
}

/// A token of the sidecar's own: the app may go without (`automountServiceAccountToken: false`). It is what the
/// ServiceAccount admission plugin would mount.
pub(super) fn token_volume() -> Value {
    json!({
        "name": VOLUME,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }},
                {"downwardAPI": {
                    "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}],
                }},
            ],
        },
    })
}
