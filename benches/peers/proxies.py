"""The proxies under comparison: how each is configured, started, and told of pods that join.

Each has one thread. "plain" is what one gets who chooses the policy and nothing else. "guarded" has what the proxy's own
documentation offers against pods in trouble, with the same numbers for all where it has them: an attempt may take
`ATTEMPT_MS`, two more attempts after errors too, health asked each second, outliers put out, five seconds of slow start.
"hedged" has a second attempt beside the first as well: in Envoy after a time that is set, in podrobin after a quantile.
"""

import json
import os
import pathlib
import socket
import subprocess
import time

from process import Process, free_port

ENVOY = os.environ["PODROBIN_PEERS_ENVOY"]
PODROBIN = os.environ["PODROBIN_PEERS_BINARY"]

# How long one attempt may take, where attempts are limited: more than the slowest of a thousand usual ones.
ATTEMPT_MS = 250


class Proxy:
    """One configuration of one program."""

    make = ""

    def __init__(self, name, guarded=""):
        self.name = name
        self.guarded = guarded

    @property
    def title(self):
        return f"{self.make} {self.name}" + (f", {self.guarded}" if self.guarded else "")

    def start(self, folder, pods, joining):
        """The running process, in front of `pods`; those `joining` come later. Its `port` is where it listens."""
        port = free_port()
        process = Process(folder, *self.command(pathlib.Path(folder), port, pods, joining))
        process.port = port
        return process

    def command(self, folder, port, pods, joining):
        raise NotImplementedError

    def join(self, process, folder, pods, joining):
        """Those that join are ready now."""
        raise NotImplementedError


class HAProxy(Proxy):
    make = "HAProxy"

    def command(self, folder, port, pods, joining):
        guards = check = server = ""
        timeout = "60s"
        if self.guarded:
            timeout = f"{ATTEMPT_MS}ms"
            guards = "option redispatch 1\n  retries 2\n  retry-on conn-failure empty-response response-timeout 500 503"
            check = "option httpchk GET /healthz"
            server = "check inter 1s fall 2 rise 1 observe layer7 error-limit 5 on-error mark-down slowstart 5s"
        servers = [f"server p{number} {pod} {server}" for number, pod in enumerate(pods)]
        servers += [
            f"server p{number} {pod} {server} disabled" for number, pod in enumerate(joining, start=len(pods))
        ]
        lines = "\n  ".join(servers)
        config = folder / "haproxy.cfg"
        config.write_text(f"""global
  nbthread 1
  stats socket {folder}/haproxy.sock level admin
defaults
  mode http
  timeout connect {"250ms" if self.guarded else "1s"}
  timeout client 60s
  timeout server {timeout}
  {guards}
frontend front
  bind 127.0.0.1:{port}
  default_backend pods
backend pods
  balance {self.name}
  {check}
  {lines}
""")
        return "haproxy", "-db", "-f", config

    def join(self, process, folder, pods, joining):
        for number in range(len(pods), len(pods) + len(joining)):
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(f"{folder}/haproxy.sock")
                control.sendall(f"set server pods/p{number} state ready\n".encode())
                if answer := control.recv(1000).strip():
                    raise RuntimeError(f"HAProxy: {answer}")


class Nginx(Proxy):
    make = "nginx"

    def command(self, folder, port, pods, joining):
        self._configure(folder, port, pods)
        return "nginx", "-c", folder / "nginx.conf", "-e", folder / "nginx-error.log"

    def _configure(self, folder, port, pods):
        balance = "" if self.name == "round robin" else f"{self.name};"
        servers = " ".join(f"server {pod};" for pod in pods)
        temporary = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        guards = ""
        if self.guarded:
            guards = f"""proxy_next_upstream error timeout http_500 http_503; proxy_next_upstream_tries 3;
    proxy_connect_timeout {ATTEMPT_MS}ms; proxy_read_timeout {ATTEMPT_MS}ms;"""
        (folder / "nginx.conf").write_text(f"""worker_processes 1; daemon off; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; {temporary}
  upstream pods {{ {balance} {servers} keepalive 256; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection "";
    {guards} }}
  }}
}}
""")

    def join(self, process, folder, pods, joining):
        self._configure(folder, process.port, pods + joining)
        os.kill(process.child.pid, 1)  # SIGHUP


class Envoy(Proxy):
    make = "Envoy"

    def command(self, folder, port, pods, joining):
        (folder / "eds").mkdir()
        self._endpoints(folder, pods)
        (folder / "envoy.json").write_text(json.dumps(self._bootstrap(folder, port)))
        return ENVOY, "-c", folder / "envoy.json", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"

    def _bootstrap(self, folder, port):
        hedged = self.guarded == "hedged"
        retry = {
            "retry_on": "5xx,reset,connect-failure",
            "num_retries": 2,
            "per_try_timeout": "0.1s" if hedged else f"{ATTEMPT_MS / 1000}s",
            "retry_back_off": {"base_interval": "0.001s"},
            "retry_host_predicate": [typed("envoy.retry_host_predicates.previous_hosts", PREVIOUS_HOSTS)],
            "host_selection_retry_max_attempts": 3,
        }
        route = {"cluster": "pods", "timeout": "0s"}
        if self.guarded:
            route["retry_policy"] = retry
        if hedged:
            route["hedge_policy"] = {"hedge_on_per_try_timeout": True}
        manager = {
            "stat_prefix": "front",
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]
            },
            "http_filters": [typed("envoy.filters.http.router", ROUTER)],
        }
        return {
            "node": {"id": "peers", "cluster": "peers"},
            "static_resources": {
                "listeners": [
                    {
                        "name": "front",
                        "address": address("127.0.0.1", port),
                        "filter_chains": [
                            {"filters": [typed("envoy.filters.network.http_connection_manager", MANAGER, **manager)]}
                        ],
                    }
                ],
                "clusters": [self._cluster(folder)],
            },
        }

    def _cluster(self, folder):
        cluster = {
            "name": "pods",
            "type": "EDS",
            "connect_timeout": "0.25s" if self.guarded else "1s",
            "lb_policy": self.name,
            "eds_cluster_config": {
                "eds_config": {
                    "resource_api_version": "V3",
                    "path_config_source": {
                        "path": f"{folder}/eds/pods.json",
                        "watched_directory": {"path": f"{folder}/eds"},
                    },
                }
            },
        }
        if not self.guarded:
            return cluster
        slow_start = {"slow_start_config": {"slow_start_window": "5s"}}
        options = "least_request_lb_config" if self.name == "LEAST_REQUEST" else "round_robin_lb_config"
        return cluster | {
            options: slow_start,
            # Three retries at a time are the default, which is too few for what is measured here.
            "circuit_breakers": {"thresholds": [{"max_retries": 100}]},
            "outlier_detection": {
                "consecutive_5xx": 5,
                "interval": "1s",
                "base_ejection_time": "1s",
                "max_ejection_percent": 50,
                "success_rate_minimum_hosts": 5,
                "success_rate_request_volume": 20,
                "failure_percentage_minimum_hosts": 5,
                "failure_percentage_request_volume": 20,
                "failure_percentage_threshold": 10,
                "enforcing_failure_percentage": 100,
            },
            "health_checks": [
                {
                    "interval": "1s",
                    "timeout": "0.25s",
                    "unhealthy_threshold": 2,
                    "healthy_threshold": 1,
                    "http_health_check": {"path": "/healthz"},
                }
            ],
        }

    def _endpoints(self, folder, pods):
        endpoints = [{"endpoint": {"address": address(*pod.split(":"))}} for pod in pods]
        resource = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "pods",
            "endpoints": [{"lb_endpoints": endpoints}],
        }
        response = {"version_info": str(time.time_ns()), "resources": [resource]}
        # Moved into place: Envoy looks when a file of the directory is moved.
        (folder / "pods.json").write_text(json.dumps(response))
        os.replace(folder / "pods.json", folder / "eds" / "pods.json")

    def join(self, process, folder, pods, joining):
        self._endpoints(folder, pods + joining)


ROUTER = "envoy.extensions.filters.http.router.v3.Router"
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def typed(name, kind, **settings):
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **settings}}


def address(host, port):
    return {"socket_address": {"address": host, "port_value": int(port)}}


class Podrobin(Proxy):
    make = "podrobin"

    def __init__(self, name, *flags, guarded=""):
        super().__init__(name, guarded)
        self.flags = flags

    @classmethod
    def of(cls, line):
        """As a command line says: the policy, and flags if there are any."""
        name, *flags = line.split()
        return cls(name, *flags, guarded=" ".join(flags))

    def command(self, folder, port, pods, joining):
        self._slices(folder, pods)
        return (
            PODROBIN,
            "run",
            f"--endpoint-slices={folder}/slices.json",
            f"--listen=127.0.0.1:{port}",
            f"--admin=127.0.0.1:{free_port()}",
            "--workers=1",
            f"--policy={self.name}",
            *self.flags,
        )

    def _slices(self, folder, pods):
        port = int(pods[0].rpartition(":")[2])
        ready = [{"addresses": [pod.rpartition(":")[0]], "conditions": {"ready": True}} for pod in pods]
        manifest = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "pods-1", "namespace": "peers", "labels": {"kubernetes.io/service-name": "pods"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": ready,
        }
        (folder / "slices.new").write_text(json.dumps(manifest))
        os.replace(folder / "slices.new", folder / "slices.json")

    def join(self, process, folder, pods, joining):
        self._slices(folder, pods + joining)


POLICIES = ("round-robin", "random", "least-request", "peak-ewma", "weighted", "hash:path")

# What docs/policies.md, docs/health.md and docs/retries.md offer where pods may be in trouble.
GUARDS = (
    "--retry-on=connect-failure,reset,5xx",
    f"--connect-timeout={ATTEMPT_MS}ms",
    f"--per-try-timeout={ATTEMPT_MS}ms",
    "--health-check=http:/healthz",
    "--health-check-interval=1s",
    f"--health-check-timeout={ATTEMPT_MS}ms",
    "--health-check-unhealthy-after=2",
    "--eject-failure-percentage=10",
    "--eject-latency=3",
    "--eject-interval=1s",
    # A slow pod gets no more in a second under policies that go by load.
    "--eject-min-requests=5",
    "--slow-start=5s",
)

HEDGE = "--hedge=p95"

PROXIES = [
    HAProxy("roundrobin"),
    HAProxy("leastconn"),
    HAProxy("random(2)"),
    HAProxy("leastconn", guarded="guarded"),
    HAProxy("random(2)", guarded="guarded"),
    Nginx("least_conn"),
    Nginx("least_conn", guarded="guarded"),
    Envoy("ROUND_ROBIN"),
    Envoy("LEAST_REQUEST"),
    Envoy("LEAST_REQUEST", guarded="guarded"),
    Envoy("LEAST_REQUEST", guarded="hedged"),
    *(Podrobin(policy) for policy in POLICIES),
    Podrobin("least-request:choices=5"),
    Podrobin("least-request:choices=5", *GUARDS, guarded="guarded"),
    Podrobin("peak-ewma", *GUARDS, guarded="guarded"),
    Podrobin("least-request:choices=5", *GUARDS, HEDGE, guarded="hedged"),
    Podrobin("peak-ewma", *GUARDS, HEDGE, guarded="hedged"),
]
