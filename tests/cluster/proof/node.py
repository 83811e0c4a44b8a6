"""The node from outside its containers: daemons, processes, control groups, log files, packets."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

NODE = Path(__file__).parent.parent / "node" / "node.sh"
CGROUPS = Path("/sys/fs/cgroup")
PODS = "10.244.0.0/16"
API_PORT = "6443"


class Node:
    def __init__(self, state):
        self.state = Path(state)
        # Of version 1 of control groups each controller has a tree of its own.
        self.unified = (CGROUPS / "cgroup.controllers").exists()

    def daemon(self, verb, name):
        subprocess.run([NODE, "daemon", verb, name], check=True, stdout=subprocess.DEVNULL)

    def restart(self, *names):
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.daemon("kill", name)
            self.daemon("start", name)

    def forget_half_open(self):
        """Connections to pods that are gone: the kernel keeps them, and where they lead, for two minutes, and a new one
        from the same port goes there as well. What one row has left is not to be the next one's."""
        subprocess.run(["conntrack", "--delete", "--proto", "tcp", "--state", "SYN_SENT"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def logs(self, namespace, pod, container):
        """The files the container has written, the oldest first; there without the API server, too."""
        folders = (self.state / "var-log/pods").glob(f"{namespace}_{pod}_*/{container}")
        return sorted(file for folder in folders for file in folder.glob("*.log"))

    def _folder(self, controller, uid):
        root = CGROUPS if self.unified else CGROUPS / controller
        return next((root / self.state.name).glob(f"**/pod{uid}"))

    def group(self, controller, pod, container):
        return self._folder(controller, pod["metadata"]["uid"]) / container_id(pod, container)

    def kill(self, pod, container):
        """SIGKILL from outside, as an operator or the kernel would."""
        kill_all(self.group("memory", pod, container))

    def kill_sandbox(self, pod):
        """Ends the process that holds the pod's namespaces: its address goes, and nobody is told."""
        uid = pod["metadata"]["uid"]
        known = set(all_container_ids(pod))
        for group in self._folder("memory", uid).iterdir():
            if group.is_dir() and group.name not in known:
                kill_all(group)

    def token(self, pod):
        """What the sidecar finds as its token now."""
        pid = (self.group("memory", pod, "podrobin") / "cgroup.procs").read_text().split()[0]
        return Path(f"/proc/{pid}/root/var/run/secrets/kubernetes.io/serviceaccount/token").read_text()

    def cpu_seconds(self, pod, container):
        group = self.group("cpuacct", pod, container)
        if self.unified:
            return int(stat(group / "cpu.stat", "usage_usec")) / 1e6
        return int((group / "cpuacct.usage").read_text()) / 1e9

    def memory(self, pod, container):
        """Working set, as the kubelet counts it, and the most there has been; MiB."""
        group = self.group("memory", pod, container)
        now, most, file = ("memory.current", "memory.peak", "inactive_file") if self.unified else (
            "memory.usage_in_bytes", "memory.max_usage_in_bytes", "total_inactive_file")
        used = int((group / now).read_text()) - int(stat(group / "memory.stat", file))
        return used / 2**20, int((group / most).read_text()) / 2**20

    @contextlib.contextmanager
    def api_hidden(self):
        """Pods do not reach the API server: their packets are dropped. All else on the node does."""
        rule = f"ip saddr {PODS} tcp dport {API_PORT} drop"
        nft(f"table ip proof {{\n chain input {{\n type filter hook input priority -10\n {rule}\n }}\n}}")
        try:
            yield
        finally:
            nft("delete table ip proof")


def nft(rules):
    # This program runs in the node's network.
    subprocess.run(["nft", "--file", "-"], input=rules, text=True, check=True)


def stat(file, key):
    for line in file.read_text().splitlines():
        if line.startswith(key + " "):
            return line.split()[1]
    raise LookupError(f"{file} has no {key}")


def kill_all(group):
    for pid in (group / "cgroup.procs").read_text().split():
        os.kill(int(pid), signal.SIGKILL)


def all_container_ids(pod):
    status = pod["status"]
    for one in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
        yield one.get("containerID", "").rpartition("/")[2]


def container_status(pod, container):
    status = pod["status"]
    for one in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
        if one["name"] == container:
            return one
    return {}


def container_id(pod, container):
    return container_status(pod, container)["containerID"].rpartition("/")[2]
