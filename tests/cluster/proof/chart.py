"""podrobin's chart on the node, with the images that were made from this checkout."""

import subprocess
from pathlib import Path

CHART = Path(__file__).parents[3] / "charts" / "podrobin"
NAMESPACE = "podrobin"
WEBHOOK = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/podrobin-webhook"
WEBHOOK_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component=webhook"


def install(mode):
    """Installs it, or changes how it injects."""
    values = {
        "injection.mode": mode,
        "image.repository": "localhost/podrobin", "image.tag": "test", "image.pullPolicy": "Never",
    }
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    command = ["helm", "upgrade", "--install", "podrobin", CHART, "--namespace", NAMESPACE, "--create-namespace",
               "--wait", "--timeout", "120s", *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def uninstall():
    command = ["helm", "uninstall", "podrobin", "--namespace", NAMESPACE, "--ignore-not-found", "--wait"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
