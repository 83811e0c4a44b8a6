"""Clients that people use, over each protocol, to pods of each protocol; then load."""

import asyncio
import functools
import re
import subprocess
import tempfile
from dataclasses import dataclass, field

import aiohttp
import httpx

from process import SOON, Nghttpd, Pod
from sidecar import Sidecar

MEBIBYTE = 1024 * 1024
PIECE = bytes(range(256)) * 256
TEXT = b"a text that is worth compressing. " * 100

LOAD_REQUESTS = 5_000
LOAD_SECONDS = 3


@dataclass
class Ask:
    """A request, and what must come of it."""

    method: str = "GET"
    path: str = "/"
    body: bytes | None = None
    # Without a length: chunked in HTTP/1.1.
    streamed: bool = False
    status: int = 200
    answer: bytes = b"as you wish\n"


@dataclass
class Answer:
    status: int
    version: str
    body: bytes
    headers: dict = field(default_factory=dict)


ASKS = [
    Ask(),
    Ask(path="/a/b;c?d=e%20f"),
    Ask("HEAD", answer=b""),
    Ask("POST", body=b"x", answer=b"x"),
    Ask("POST", body=PIECE, answer=PIECE),
    Ask("POST", body=PIECE * 32, answer=PIECE * 32),
    Ask("POST", body=PIECE * 32, streamed=True, answer=PIECE * 32),
    Ask("PUT", body=b"put", answer=b"put"),
    Ask("PATCH", body=b"patch", answer=b"patch"),
    Ask("DELETE"),
    Ask("OPTIONS"),
    Ask(path=f"/bytes/{8 * MEBIBYTE}", answer=PIECE * 128),
    Ask(path="/gzip", answer=TEXT),
    *(Ask(path=f"/status/{status}", status=status, answer=b"") for status in (204, 304, 400, 404, 429, 500, 503)),
]


def run(report):
    for name, arguments in (("HTTP/1.1", []), ("HTTP/2", ["--upstream-protocol=http2"])):
        with report.suite(f"clients, pods {name}") as suite, Pod("echo") as pod:
            with Sidecar([pod.port], *arguments) as sidecar:
                for client, (ask, version) in CLIENTS.items():
                    asked(suite, client, ask, version, sidecar.port, name)
                asyncio.run(many_at_once(suite, sidecar.port))
                sidecar.check(suite)
    with report.suite("load") as suite, Pod("quick") as pod, Nghttpd() as http2_pod:
        with Sidecar([pod.port]) as sidecar:
            wrk(suite, sidecar.port)
            h2load(suite, "HTTP/1.1 to HTTP/1.1", sidecar.port, "--h1")
            h2load(suite, "HTTP/2 to HTTP/1.1", sidecar.port)
            sidecar.check(suite)
        with Sidecar([http2_pod.port], "--upstream-protocol=http2") as sidecar:
            h2load(suite, "HTTP/1.1 to HTTP/2", sidecar.port, "--h1")
            h2load(suite, "HTTP/2 to HTTP/2", sidecar.port)
            sidecar.check(suite)


def asked(suite, client, ask, version, port, pod_version):
    for wanted in ASKS:
        if wanted.streamed and version == "1.0":
            # There is no such thing in HTTP/1.0.
            continue
        name = f"{client}: {wanted.method} {wanted.path}" + " streamed" * wanted.streamed
        try:
            answer = ask(f"http://127.0.0.1:{port}{wanted.path}", wanted)
        except Exception as error:
            suite.row(name, False, f"{type(error).__name__}: {error}")
            continue
        suite.same(f"{name}: status", wanted.status, answer.status)
        suite.same(f"{name}: body", (len(wanted.answer), wanted.answer), (len(answer.body), answer.body))
        if version != "1.0":
            # To HTTP/1.0 either version is an answer.
            suite.same(f"{name}: version", version, answer.version)
        suite.same(f"{name}: the pod saw the method", wanted.method, answer.headers.get("x-method"))
        pod_saw = {"HTTP/1.1": "1.1", "HTTP/2": "2"}[pod_version]
        suite.same(f"{name}: the pod saw the version", pod_saw, answer.headers.get("x-version"))


def curl(version, url, wanted):
    flags = {"1.0": "--http1.0", "1.1": "--http1.1", "2": "--http2-prior-knowledge"}
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--compressed", "--max-time", str(int(SOON))]
    command += [flags[version], "--write-out", "%{http_code} %{http_version}"]
    with tempfile.NamedTemporaryFile() as body, tempfile.NamedTemporaryFile() as head:
        command += ["--output", body.name, "--dump-header", head.name]
        if wanted.method == "HEAD":
            command += ["--head"]
        elif wanted.streamed:
            command += ["--request", wanted.method, "--upload-file", "-"]
        else:
            command += ["--request", wanted.method]
            if wanted.body is not None:
                command += ["--data-binary", "@-"]
        outcome = subprocess.run([*command, url], input=wanted.body or b"", capture_output=True, timeout=2 * SOON)
        if outcome.returncode != 0:
            raise RuntimeError(outcome.stderr.decode())
        status, version = outcome.stdout.decode().split()
        # With --head the head itself is the output.
        content = b"" if wanted.method == "HEAD" else body.read()
        # The last head is the answer's; one with status 100 may stand before it.
        last = head.read().decode().strip().split("\r\n\r\n")[-1]
        fields = (line.partition(":") for line in last.splitlines()[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return Answer(int(status), version, content, headers)


def pieces_of(body):
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


def with_httpx(http2, url, wanted):
    content = pieces_of(wanted.body) if wanted.streamed else wanted.body
    with httpx.Client(http1=not http2, http2=http2, timeout=SOON, trust_env=False) as client:
        answer = client.request(wanted.method, url, content=content)
        version = answer.http_version.removeprefix("HTTP/")
        return Answer(answer.status_code, version, answer.content, dict(answer.headers))


def with_aiohttp(url, wanted):
    async def ask():
        async def pieces():
            for piece in pieces_of(wanted.body):
                yield piece

        data = pieces() if wanted.streamed else wanted.body
        timeout = aiohttp.ClientTimeout(SOON)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.request(wanted.method, url, data=data) as answer:
                version = f"{answer.version.major}.{answer.version.minor}"
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, version, await answer.read(), headers)

    return asyncio.run(ask())


CLIENTS = {
    "curl HTTP/1.0": (functools.partial(curl, "1.0"), "1.0"),
    "curl HTTP/1.1": (functools.partial(curl, "1.1"), "1.1"),
    "curl HTTP/2": (functools.partial(curl, "2"), "2"),
    "httpx HTTP/1.1": (functools.partial(with_httpx, False), "1.1"),
    "httpx HTTP/2": (functools.partial(with_httpx, True), "2"),
    "aiohttp": (with_aiohttp, "1.1"),
}


async def many_at_once(suite, port):
    """Bodies do not get mixed up among requests that share connections."""
    url = f"http://127.0.0.1:{port}/echo"
    bodies = [f"{number} ".encode() * (number * 7 % 2000 + 1) for number in range(200)]
    async with httpx.AsyncClient(http1=False, http2=True, timeout=4 * SOON, trust_env=False) as client:
        answers = await asyncio.gather(*(client.post(url, content=body) for body in bodies))
    suite.row("200 at once over HTTP/2", [answer.content for answer in answers] == bodies, statuses(answers))
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(limits=limits, timeout=4 * SOON, trust_env=False) as client:
        answers = await asyncio.gather(*(client.post(url, content=body) for body in bodies))
    suite.row("200 over 20 connections", [answer.content for answer in answers] == bodies, statuses(answers))


def statuses(answers):
    return [answer.status_code for answer in answers]


def load_tool(*command):
    outcome = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=8 * SOON)
    return outcome.returncode, outcome.stdout + outcome.stderr


def wrk(suite, port):
    status, said = load_tool("wrk", "-t2", "-c20", f"-d{LOAD_SECONDS}s", f"http://127.0.0.1:{port}/page")
    wrong = re.search(r"Socket errors.*|Non-2xx.*", said)
    requests = re.search(r"(\d+) requests in", said)
    suite.row("wrk: every request is answered well", status == 0 and requests and not wrong, said)
    suite.note(f"wrk {requests and requests[1]} requests")


def h2load(suite, name, port, *arguments):
    command = ["h2load", f"-n{LOAD_REQUESTS}", "-c8", "-m20", *arguments, f"http://127.0.0.1:{port}/page"]
    status, said = load_tool(*command)
    well = f"status codes: {LOAD_REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx"
    whole = f"{LOAD_REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout"
    suite.row(f"h2load {name}: every request is answered well", status == 0 and well in said and whole in said, said)
    rate = re.search(r"([\d.]+) req/s", said)
    suite.note(f"h2load {name} {rate and rate[1]}/s")
