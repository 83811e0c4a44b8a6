"""The parts of the proof that need no node: tests/cluster/proof/test_proof.py."""

import json
import tempfile
import unittest
from pathlib import Path

import shop
import table
from lines import Count, Lines
from result import Result
from rows import ROWS


def line(second, failed=0, slow=0, slowest=5, **pods):
    """As the client writes one a second, and the kubelet keeps it."""
    ok = sum(pods.values())
    causes = {"reset": failed} if failed else {}
    said = {"time": float(second), "total": False, "sent": ok + failed, "ok": ok, "failed": failed, "slow": slow,
            "skipped": 0, "pods": pods, "causes": causes, "ms": {"p50": 1, "p99": 2, "max": slowest}}
    return f"2026-11-27T02:00:00.000000000Z stdout F {json.dumps(said)}\n"


class ReadLines(unittest.TestCase):
    def setUp(self):
        file = tempfile.NamedTemporaryFile("w", suffix=".log")
        self.addCleanup(file.close)
        self.file = file

    def lines(self):
        lines = Lines(self.file.name)
        self.addCleanup(lines.close)
        return lines

    def write(self, *texts):
        self.file.write("".join(texts))
        self.file.flush()

    def test_a_window_has_the_lines_after_its_begin_up_to_the_first_not_before_its_end(self):
        self.write(line(1, a=1), line(2, a=2), line(3, failed=1, a=4), line(4, b=8), line(5, b=16))
        count = self.lines().count(1.5, 3.5)
        self.assertEqual((count.ok, count.failed, dict(count.pods)), (14, 1, {"a": 6, "b": 8}))
        self.assertEqual(dict(count.causes), {"reset": 1})

    def test_a_line_counts_when_all_of_it_is_there(self):
        lines = self.lines()
        text = line(1, a=1)
        self.write(text[:60])
        self.assertEqual(lines.read(), [])
        self.write(text[60:], "2026-11-27T02:00:00Z stderr F thread panicked\n")
        self.assertEqual(len(lines.read()), 1)

    def test_clients_are_calm_when_the_last_seconds_lie_after_the_moment(self):
        lines = self.lines()
        self.write(line(1, a=1), line(2, a=1), line(3, a=1))
        self.assertTrue(lines.calm_since(0))
        self.assertFalse(lines.calm_since(1))
        self.write(line(4, slowest=1500, a=1))
        self.assertFalse(lines.calm_since(0))


class Judge(unittest.TestCase):
    def result(self, name, **failed):
        row = next(row for row in ROWS if row.name == name)
        counts = {way: Count(ok=1000, failed=failed.get(way.deployment.replace("-", "_"), 0)) for way in shop.WAYS}
        result = Result(row, counts=counts)
        result.judge()
        return result

    def test_none_may_fail_where_the_row_does_not_say_so(self):
        self.assertEqual(self.result("rollout").problems, [])
        self.assertEqual(len(self.result("rollout", podrobin_ka=1).problems), 1)

    def test_never_worse_than_kube_proxy_whatever_the_row_allows(self):
        self.assertEqual(self.result("rollout-hasty", podrobin_grpc=3).problems, [])
        self.assertEqual(len(self.result("rollout-hasty", podrobin_grpc=6).problems), 2)
        self.assertEqual(self.result("rollout-hasty", podrobin_grpc=6, kube_proxy_ka=3, kube_proxy_new=3).problems, [])

    def test_the_tables_name_what_is_not_as_promised(self):
        text = table.compared([self.result("rollout"), self.result("scale", podrobin_ka=1)])
        self.assertIn("| rollout restart, apps drain 3 s | 1,000 / 0 / 0 |", text)
        self.assertEqual(text.count("NOT as promised"), 1)

    def test_rows_are_named_once_and_what_may_fail_has_a_reason(self):
        self.assertEqual(len({row.name for row in ROWS}), len(ROWS))
        for row in ROWS:
            self.assertEqual(bool(row.kept or row.grpc), bool(row.why), row.name)


if __name__ == "__main__":
    unittest.main()
