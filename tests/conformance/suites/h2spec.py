"""HTTP/2 as h2spec reads RFC 9113 and RFC 7541, strictly, whatever the pods speak."""

import os
import subprocess
import tempfile
import xml.etree.ElementTree as xml

from process import Nghttpd, Pod
from sidecar import Sidecar

H2SPEC = os.environ["PODROBIN_CONFORMANCE_H2SPEC"]

# All of h2spec's tests, generic and HPACK's, with the strict ones.
TESTS = 146

# For the whole run; a test that waits for a frame gives up after two seconds.
LIMIT = 330


def run(report):
    with report.suite("h2spec, pods HTTP/1.1") as suite, Pod("echo") as pod:
        against(suite, [pod.port])
    with report.suite("h2spec, pods HTTP/2") as suite, Nghttpd() as pod:
        against(suite, [pod.port], "--upstream-protocol=http2")


def against(suite, ports, *arguments):
    with Sidecar(ports, *arguments) as sidecar, tempfile.NamedTemporaryFile(suffix=".xml") as results:
        command = [H2SPEC, "--strict", "--host=127.0.0.1", f"--port={sidecar.port}", "--path=/page"]
        outcome = subprocess.run(
            [*command, f"--junit-report={results.name}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        cases = list(xml.parse(results.name).iter("testcase"))
        for case in cases:
            # A test that was skipped has an element of its own too.
            name = f"{case.get('package')}: {case.get('classname')}"
            suite.row(name, len(case) == 0, xml.tostring(case, encoding="unicode"))
        passed = sum(len(case) == 0 for case in cases)
        suite.note(f"{passed} of {len(cases)} tests passed")
        suite.same("every test was run", TESTS, len(cases))
        suite.row("h2spec is content", outcome.returncode == 0, outcome.stdout[-4000:] + outcome.stderr)
        sidecar.check(suite)
