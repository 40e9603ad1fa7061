"""What history and feed cost a write: ``python -m benchmarks.history`` (``make bench-history``).

Two services of the same code, one of which keeps no revision and records no event, create and
replace notes side by side in alternating runs, as in :mod:`benchmarks.throughput`. The statements
that a request runs in either are counted.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import load, machine, processes
from benchmarks.contenders import CloudNotes
from benchmarks.operations import OPERATIONS
from benchmarks.plans import shortened
from benchmarks.report import Report, Sample, Spread
from benchmarks.throughput import CORES, RESULTS, Bench, running
from tests.servers import BIN, ROOT, wait_for

WRITES = ("create", "update")


class Bare(CloudNotes):
    """CloudNotes without history and feed."""

    name = "without"

    def start(self) -> None:
        self.server.manage("migrate --no-input")
        with self.server.log.open("ab") as log:
            self.server.process = subprocess.Popen(
                [BIN / "gunicorn", "benchmarks.bare:application"],
                cwd=ROOT,
                env=self.server.environment,
                stdout=log,
                stderr=log,
            )
        wait_for(self.server.is_ready, self.server.process, f"{self.name} (see {self.server.log})")


def count_statements(bench: Bench) -> dict[str, dict[str, list[str]]]:
    """Return by operation and service the statements that one request runs."""
    counted: dict[str, dict[str, list[str]]] = {}
    for operation in WRITES:
        counted[operation] = {}
        for contender in bench.contenders:
            assert isinstance(contender, CloudNotes)
            request = next(OPERATIONS[operation].requests(contender, [1])).decode()
            what = "bare" if isinstance(contender, Bare) else "whole"
            counted[operation][contender.name] = contender.inside("statements", request, what)
    return counted


def markdown(report: Report, counted: dict[str, dict[str, list[str]]]) -> str:
    """Return the report for people."""
    lines = ["# What history and feed cost a write", ""]
    lines += [f"- {name}: {value}" for name, value in report.about.items()]
    lines += ["", "| write | connections | history and feed | writes/s | p50 ms | p99 ms |"]
    lines[-1] += " CPU s/1,000 | database CPU s/1,000 | statements | as many as without |"
    lines += ["|---" * 10 + "|"]
    kinds = dict.fromkeys((s.operation, s.connections, s.contender) for s in report.samples)
    for operation, connections, name in kinds:
        samples = report.of(operation, name, connections)
        is_whole = name == CloudNotes.name
        ratio = report.ratio(operation, Bare.name, connections) if is_whole else None
        cells = [
            operation,
            str(connections),
            "with" if is_whole else "without",
            _told(samples, lambda sample: sample.load.rate),
            _told(samples, lambda sample: sample.load.p50_ms),
            _told(samples, lambda sample: sample.load.p99_ms),
            _told(samples, Sample.server_cost),
            _told(samples, Sample.database_cost),
            str(len(counted[operation][name])),
            ratio.told(" x") if ratio else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for operation, by_name in counted.items():
        for name, statements in by_name.items():
            how = "with" if name == CloudNotes.name else "without"
            lines += ["", f"## The statements of {operation}, {how} history and feed", ""]
            lines += [f"{number}. `{shortened(each)}`" for number, each in enumerate(statements, 1)]
    return "\n".join([*lines, ""])


def _told(samples: list[Sample], value: Callable[[Sample], float]) -> str:
    return Spread.of([value(sample) for sample in samples]).told()


def main() -> int:
    """Measure as the command line says; 1 if a request failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument("--runs", type=int, default=6, help="of each service")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--accounts", type=int, default=25, help="that ask, 25 at most")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # its children too
    about: dict[str, Any] = machine.describe(os.environ["DATABASE_URL"])
    about |= {
        "Load": load.generator(),
        "Runs": f"{asked.runs} of {asked.seconds} s",
        "Accounts that ask": asked.accounts,
    }
    with running([CloudNotes, Bare]) as contenders:
        postmaster = processes.postmaster(os.environ["DATABASE_URL"])
        bench = Bench(contenders, postmaster, seconds=asked.seconds, runs=asked.runs)
        for operation in WRITES:
            bench.measure(operation, asked.connections, range(1, asked.accounts + 1))
        counted = count_statements(bench)
    report = Report(about, bench.samples, [], [])
    text = markdown(report, counted)
    raw = {
        "about": about,
        "samples": [dataclasses.asdict(sample) for sample in bench.samples],
        "statements": counted,
    }
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "history.md").write_text(text)
    (asked.output / "history.json").write_text(json.dumps(raw, indent=1))
    print(text)
    return 0 if all(sample.is_right for sample in bench.samples) else 1


if __name__ == "__main__":
    sys.exit(main())
