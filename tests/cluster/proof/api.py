"""The API server: requests with a token, and waiting for what it says."""

import http.client
import json
import ssl
import time
from pathlib import Path

JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

# Longest wait for anything that a cluster does by itself.
PATIENCE = 60


class Refused(Exception):
    """The API server has answered, and not as wanted."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text:.500}")
        self.status = status


class Api:
    def __init__(self, state):
        config = json.loads(Path(state, "admin.kubeconfig").read_text())
        cluster = config["clusters"][0]["cluster"]
        self.host = cluster["server"].removeprefix("https://")
        self.trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.token = config["users"][0]["user"]["token"]

    def call(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection(self.host, timeout=10, context=self.trust)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, text)
        return json.loads(text)

    def watch(self, path, seconds=PATIENCE):
        """What becomes of the objects, as it does: a word and the object."""
        connection = http.client.HTTPSConnection(self.host, timeout=seconds, context=self.trust)
        joint = "&" if "?" in path else "?"
        path = f"{path}{joint}watch=true&timeoutSeconds={seconds}"
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            while line := answer.readline():
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()

    def get(self, path):
        return self.call("GET", path)

    def create(self, path, body):
        return self.call("POST", path, body)

    def delete(self, path, grace=None):
        """Asks for the end of an object; one that is gone already is as wanted."""
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            self.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})
        except Refused as refused:
            if refused.status != 404:
                raise

    def there(self, path):
        try:
            return self.get(path)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def answers(self):
        try:
            self.call("GET", "/api/v1/namespaces/default")
            return True
        except (Refused, OSError, http.client.HTTPException):
            return False


def wait(what, condition, seconds=PATIENCE, pause=0.1):
    """Waits for the condition to say something other than nothing, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(pause)
