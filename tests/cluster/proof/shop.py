"""What runs on the node: a cart of three pods, and clients that call it in each way that is compared."""

from dataclasses import dataclass

NAMESPACE = "shop"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
IMAGE = "localhost/podrobin-shop:test"
CLIENTS_IMAGE = "localhost/clients:test"

RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED_CONTAINER = {
    "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

# Seconds for which a cart serves on after SIGTERM, unless a row is about carts that do not.
DRAIN = 3

# Seconds after which clients give up: those of which a request may take long, and those that see a pod hang.
PATIENT = 15
IMPATIENT = 2


@dataclass(frozen=True)
class Way:
    """A way to the cart."""
    name: str
    # What the sidecar is asked for; none without a sidecar.
    service: str = ""
    args: tuple[str, ...] = ()
    # Its column in the table of what failed.
    compared: bool = True

    @property
    def deployment(self):
        return self.name.replace(" ", "-")


def keep_alive(rate, connections):
    return ("--manner=keep-alive", f"--rate={rate}", f"--connections={connections}")


GRPC = ("--manner=grpc", "--rate=500", "--connections=1")

KUBE_KEPT = Way("kube-proxy ka", args=keep_alive(500, 8))
KUBE_GRPC = Way("kube-proxy grpc", args=GRPC)
KUBE_NEW = Way("kube-proxy new", args=("--manner=new", "--rate=100", "--connections=1"))
KUBE_ONE = Way("kube-proxy one", args=keep_alive(50, 1), compared=False)
OWN_KEPT = Way("podrobin ka", "cart:http", keep_alive(500, 8))
OWN_GRPC = Way("podrobin grpc", "cart:grpc", GRPC)
OWN_ONE = Way("podrobin one", "cart:http", keep_alive(50, 1), compared=False)
WAYS = [KUBE_KEPT, KUBE_GRPC, KUBE_NEW, KUBE_ONE, OWN_KEPT, OWN_GRPC, OWN_ONE]


def namespace():
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def service():
    ports = [
        {"name": "http", "port": 8080, "targetPort": "http"},
        {"name": "grpc", "port": 9090, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
    ]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"},
            "spec": {"selector": {"app": "cart"}, "ports": ports}}


def pod(name, app, container, annotations=None, labels=None, **spec):
    """A pod as "restricted" demands, without a token of the app's."""
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app, **(labels or {})}, "annotations": annotations or {}},
        "spec": {"automountServiceAccountToken": False, "securityContext": RESTRICTED_POD,
                 "containers": [container], **spec},
    }


def container(name, args, memory="64Mi", **rest):
    resources = {"requests": {"cpu": "20m", "memory": "16Mi"}, "limits": {"memory": memory}}
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "args": list(args), "resources": resources,
            "securityContext": RESTRICTED_CONTAINER, **rest}


def cart_pod(name, drain=DRAIN, grace=30, **env):
    values = {"CART_DRAIN": str(drain), **env}
    own_name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    one = container(
        "cart", ["cart"],
        env=[own_name] + [{"name": key, "value": value} for key, value in values.items()],
        ports=[{"name": "http", "containerPort": 8080}],
        readinessProbe={"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
    )
    return pod(name, "cart", one, terminationGracePeriodSeconds=grace)


def client_pod(name, args, url="", service="", env=None, **spec):
    """Without a URL of its own it goes where podrobin has told it to go."""
    values = [{"name": key, "value": value} for key, value in (env or {}).items()]
    one = container("client", ["client", *args] + ([url] if url else []), env=values)
    annotations = {"podrobin.io/service": service} if service else {}
    return pod(name, "client", one, annotations, **spec)


def deployment(name, replicas, template):
    labels = {**template["metadata"]["labels"], "deployment": name}
    metadata = {**template["metadata"], "labels": labels}
    del metadata["name"]
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"deployment": name}},
                 "template": {"metadata": metadata, "spec": template["spec"]}},
    }


def job(name, template):
    metadata = {**template["metadata"]}
    del metadata["name"]
    spec = {**template["spec"], "restartPolicy": "Never"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"metadata": metadata, "spec": spec}}}
