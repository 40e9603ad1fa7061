"""What a run cost, printed at its end (a pytest plugin).

``--durations-file PATH`` writes the seconds of every test.
"""

import collections
import re
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from tests.environment import OUTSIDE, POSTGRESQL, is_controller

SHOWN = 10
GROUP = re.compile(r"@[^@\]]*$")  # what xdist adds to the name of a test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--durations-file", help="write the seconds of every test to this file")


def pytest_configure(config: pytest.Config) -> None:
    if is_controller(config):
        config.pluginmanager.register(Figures(config), "cloudnotes-figures")


def cpu_seconds() -> float:
    """Return what this process and its children have used, that have ended: not PostgreSQL."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Figures:
    """Adds up what the processes of a run report."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started = time.monotonic()
        self.of_tests: collections.Counter[str] = collections.Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.of_tests[GROUP.sub("", report.nodeid)] += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write = terminalreporter.write_line
        of_files: collections.Counter[str] = collections.Counter()
        for test, seconds in self.of_tests.items():
            of_files[test.partition("::")[0]] += seconds
        for what, durations in (("tests", self.of_tests), ("files", of_files)):
            write(f"The slowest {what}, in seconds:")
            for name, seconds in durations.most_common(SHOWN):
                write(f"{seconds:8.1f}  {name}")
        leg = "PostgreSQL and Redis" if POSTGRESQL else "SQLite"
        wall = time.monotonic() - self.started
        write(f"Leg {leg}: {wall:.0f} s, {cpu_seconds():.0f} s of CPU.")
        if not POSTGRESQL:
            write("Leg not in this run: PostgreSQL and Redis (make test-all).")
        elif not OUTSIDE["REDIS_URL"]:
            write("Not in this run: Redis (REDIS_URL).")
        if path := self.config.getoption("--durations-file"):
            rows = [f"{seconds:.3f}\t{test}\n" for test, seconds in self.of_tests.most_common()]
            Path(path).write_text("".join(rows))
