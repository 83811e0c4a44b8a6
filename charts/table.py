#!/usr/bin/env python3
"""Writes the table of values into the chart's README, from values.yaml and the comments in it.

charts/table.py          writes
charts/table.py --check  only says whether it is as it should be

A value is a key with its default on one line, under a comment that begins with `# -- `. Needs nothing but Python:
values.yaml is read as the indented lines that it is.
"""

import re
import sys
from pathlib import Path

CHART = Path(__file__).parent / "podrobin"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
KEY = re.compile(r"^( *)([A-Za-z]+):(?: (.*))?$")


def rows(text):
    """(key, default, meaning) of each value."""
    path, meaning = [], None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith("# -- "):
            meaning = words.removeprefix("# -- ")
        if not words or words.startswith("#"):
            continue
        match = KEY.match(line)
        if not match:
            raise SystemExit(f"values.yaml:{number}: a value is a key and its default on one line: {words}")
        path[len(match[1]) // 2 :] = [match[2]]
        if match[3] is None:
            continue
        if meaning is None:
            raise SystemExit(f"values.yaml:{number}: {'.'.join(path)} has no comment `# -- ...` of its own")
        yield ".".join(path), match[3], meaning
        meaning = None


def table(text):
    lines = [f"| `{key}` | `{default}` | {meaning} |\n" for key, default, meaning in rows(text)]
    return "".join(["| value | default | meaning |\n", "|---|---|---|\n", *lines])


def main():
    readme = CHART / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = before + BEGIN + "\n" + table((CHART / "values.yaml").read_text()) + "\n" + END + after
    if text == wanted:
        return
    if sys.argv[1:] == ["--check"]:
        raise SystemExit("charts/podrobin/README.md does not say what values.yaml does: run charts/table.py")
    readme.write_text(wanted)


main()
