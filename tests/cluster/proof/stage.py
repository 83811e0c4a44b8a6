"""The stage on which rows play: a cart and its clients, and what can be done to them."""

import contextlib
import http.client
import json
import socket
import time

import shop
from api import STRATEGIC_PATCH, Refused, wait
from lines import Lines
from node import container_status

# Seconds in which clients have to be calm again after what was done.
CALM = 25
CALM_OTHERS = 5

ADMIN = 9800
CART = 8080


class Stage:
    def __init__(self, api, node):
        self.api = api
        self.node = node
        # Each way's pod, and its lines.
        self.pods = {}
        self.lines = {}
        # Seconds after which they give up.
        self.timeout = None

    def build(self):
        """Makes the cart and all clients; clients with a sidecar are as anybody's, but for an annotation."""
        self.api.create("/api/v1/namespaces", shop.namespace())
        wait("a ServiceAccount", lambda: self.api.there(
            f"/api/v1/namespaces/{shop.NAMESPACE}/serviceaccounts/default"))
        service = self.api.create(f"/api/v1/namespaces/{shop.NAMESPACE}/services", shop.service())
        self.address = service["spec"]["clusterIP"]
        self.api.create(shop.DEPLOYMENTS, shop.deployment("cart", 3, shop.cart_pod("cart")))
        self.all_carts_ready()
        self.clients(shop.PATIENT)

    def clients(self, timeout):
        """Makes the clients, and makes them anew where they wait for another time before they give up."""
        if timeout == self.timeout:
            return
        for way in shop.WAYS:
            url = "" if way.service else f"http://{self.address}:8080"
            template = shop.client_pod(way.deployment, way.args, url, way.service, {"CLIENT_TIMEOUT": str(timeout)},
                                       terminationGracePeriodSeconds=2)
            body = shop.deployment(way.deployment, 1, template)
            if self.timeout is None:
                self.api.create(shop.DEPLOYMENTS, body)
            else:
                self.api.call("PUT", f"{shop.DEPLOYMENTS}/{way.deployment}", body)
        old = {pod["metadata"]["name"] for pod in self.pods.values()}
        for way in shop.WAYS:
            pod = wait(f"{way.name} to run", lambda way=way: self._alone(way, old), 120)
            if way.service and not has_sidecar(pod):
                raise RuntimeError(f"{way.name} has no sidecar")
            self.pods[way] = pod
            if way in self.lines:
                self.lines[way].close()
            self.lines[way] = self.lines_of(pod, "client")
        self.timeout = timeout

    def _alone(self, way, old):
        pods = self.list_pods(f"deployment={way.deployment}")
        alone = len(pods) == 1 and ready(pods[0]) and pods[0]["metadata"]["name"] not in old
        return pods[0] if alone else None

    def lines_of(self, pod, container):
        name = pod["metadata"]["name"]
        files = wait(f"what {name} writes", lambda: self.node.logs(shop.NAMESPACE, name, container))
        return Lines(files[-1])

    def list_pods(self, selector):
        return self.api.get(f"{shop.PODS}?labelSelector={selector}")["items"]

    def pod(self, name):
        return self.api.there(f"{shop.PODS}/{name}")

    def carts(self):
        """Those that are to stay, in the order of their names."""
        pods = self.list_pods("app=cart")
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted((pod for pod in staying if ready(pod)), key=lambda pod: pod["metadata"]["name"])

    def a_cart(self):
        """One that has not been restarted: the kubelet waits before it restarts one again."""
        def fresh():
            return [pod for pod in self.carts() if not container_status(pod, "cart")["restartCount"]]
        if not fresh():
            self.roll(shop.DRAIN)
        return fresh()[0]

    def all_carts_ready(self, replicas=3):
        """Waits until so many are there, ready, known as such and no other, and answer where the list says they are: a
        pod whose sandbox has died is listed with its old address until the kubelet has told the new one."""
        def settled():
            pods = self.list_pods("app=cart")
            addresses = self.ready_addresses()
            return (len(pods) == replicas == len([pod for pod in pods if ready(pod)]) == len(addresses)
                    and all(answers(address) for address in addresses))
        wait(f"{replicas} ready pods", settled, 120)

    def ready_addresses(self):
        """What the Service's list says."""
        slices = self.api.get(f"{shop.SLICES}?labelSelector=kubernetes.io/service-name=cart")["items"]
        return {
            endpoint["addresses"][0]
            for one in slices for endpoint in one.get("endpoints") or [] if endpoint["conditions"].get("ready")
        }

    def scale(self, replicas, name="cart"):
        self.api.call("PATCH", f"{shop.DEPLOYMENTS}/{name}", {"spec": {"replicas": replicas}}, STRATEGIC_PATCH)

    def drain(self):
        """Seconds for which carts that are made now will serve on."""
        spec = self.api.get(f"{shop.DEPLOYMENTS}/cart")["spec"]["template"]["spec"]
        return next(int(one["value"]) for one in spec["containers"][0]["env"] if one["name"] == "CART_DRAIN")

    def roll(self, drain):
        """A rolling restart; the new pods serve on for so long when they are told to end."""
        container = {"name": "cart", "env": [{"name": "CART_DRAIN", "value": str(drain)}]}
        moment = {"rolled": f"{time.time()}"}
        template = {"metadata": {"annotations": moment}, "spec": {"containers": [container]}}
        self.api.call("PATCH", f"{shop.DEPLOYMENTS}/cart", {"spec": {"template": template}}, STRATEGIC_PATCH)

        def rolled():
            found = self.api.get(f"{shop.DEPLOYMENTS}/cart")
            status = found["status"]
            return (status.get("observedGeneration") == found["metadata"]["generation"]
                    and status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 3)
        wait("the rollout", rolled, 120)
        self.all_carts_ready()

    def drains(self, drain):
        """The pods that are there now serve on for so long when they are told to end."""
        if self.drain() != drain:
            self.roll(drain)

    def settle(self, since):
        """Waits until each client has had calm seconds since; says who of podrobin's has not. kube-proxy's are not
        waited for as long."""
        def restless(own):
            return [way.name for way, lines in self.lines.items()
                    if bool(way.service) == own and not lines.calm_since(since)]
        left = []
        for own, seconds in (True, CALM), (False, CALM_OTHERS):
            try:
                wait("calm clients", lambda own=own: not restless(own), seconds)
            except TimeoutError:
                left += restless(own) if own else []
        return left

    def written(self, moment):
        """Waits until each client has a line that was written after the moment."""
        for way, lines in self.lines.items():
            wait(f"a line of {way.name}", lambda lines=lines: (lines.last() or {"time": 0})["time"] >= moment, 20)

    def counts(self, begin, end):
        self.written(end)
        return {way: lines.count(begin, end) for way, lines in self.lines.items()}

    def state(self, pod):
        """What the pod's sidecar says of itself: the first of its targets."""
        return json.loads(fetch("GET", pod, ADMIN, "/state"))["targets"][0]

    def control(self, pod, command):
        fetch("POST", pod, CART, f"/control/{command}")

    @contextlib.contextmanager
    def made(self, pod):
        """A pod that is there for a while."""
        name = pod["metadata"]["name"]
        self.api.create(shop.PODS, pod)
        try:
            yield name
        finally:
            self.api.delete(f"{shop.PODS}/{name}", grace=0)
            wait(f"{name} to end", lambda: not self.pod(name))

    def injected(self, pod):
        """What would become of the pod if it was made."""
        return self.api.create(f"{shop.PODS}?dryRun=All", pod)

    def show_sidecars(self, begin, most=15):
        """The last that the clients' sidecars have logged since."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begin))
        for way, pod in self.pods.items():
            files = self.node.logs(shop.NAMESPACE, pod["metadata"]["name"], "podrobin")
            said = [line for file in files for line in file.read_text().splitlines() if line >= since]
            for line in said[-most:]:
                print(f"   {way.name} logged: {line}")

    def clear(self):
        with contextlib.suppress(Refused):
            self.api.delete(f"/api/v1/namespaces/{shop.NAMESPACE}")
        wait("the namespace to end", lambda: not self.api.there(f"/api/v1/namespaces/{shop.NAMESPACE}"), 120)


def fetch(method, pod, port, path):
    connection = http.client.HTTPConnection(pod["status"]["podIP"], port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path} of {pod['metadata']['name']}: {answer.status} {text:.200}")
        return text
    finally:
        connection.close()


def answers(address):
    try:
        socket.create_connection((address, CART), timeout=0.5).close()
        return True
    except OSError:
        return False


def ready(pod):
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def has_sidecar(pod):
    return any(one["name"] == "podrobin" for one in pod["spec"].get("initContainers", []))
