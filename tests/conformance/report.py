"""What was wanted, what came, and one line for each suite at the end."""

import contextlib
import time
import traceback
from dataclasses import dataclass, field


@dataclass
class Report:
    suites: list["Suite"] = field(default_factory=list)

    @contextlib.contextmanager
    def suite(self, name):
        """A suite that breaks off has failed, and the ones after it still run."""
        suite = Suite(name)
        self.suites.append(suite)
        print(f"== {name}", flush=True)
        try:
            yield suite
        except Exception:
            suite.row("the suite runs to its end", False, traceback.format_exc())
        suite.ended = time.monotonic()
        print(suite.summary(), flush=True)

    def close(self):
        """Prints the summary; whether everything was as wanted."""
        print("\nConformance:")
        for suite in self.suites:
            print("  " + suite.summary())
        passed = sum(suite.passed for suite in self.suites)
        failed = sum(len(suite.failed) for suite in self.suites)
        print(f"{passed} passed, {failed} failed")
        return all(suite.as_wanted() for suite in self.suites)


@dataclass
class Suite:
    name: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    def row(self, name, as_wanted, detail=""):
        """One thing that was wanted. The detail is shown where it did not come."""
        if as_wanted:
            self.passed += 1
            return
        self.failed.append(name)
        print(f"FAILED {self.name}: {name}\n{detail}", flush=True)

    def same(self, name, wanted, got):
        self.row(name, wanted == got, f"  wanted {wanted!r:.2000}\n  got    {got!r:.2000}")

    def note(self, text):
        """A figure for the summary."""
        self.notes.append(text)

    def as_wanted(self):
        # A suite that looked at nothing has not passed.
        return self.passed > 0 and not self.failed

    def summary(self):
        total = self.passed + len(self.failed)
        notes = "".join(f"; {note}" for note in self.notes)
        seconds = self.ended - self.started
        verdict = "ok" if self.as_wanted() else "NOT OK"
        return f"{self.name}: {self.passed} of {total} as wanted{notes} ({seconds:.1f} s) {verdict}"
