"""Many connections at once: ``python -m benchmarks.concurrency`` (``make bench-concurrency``).

Connections that are kept alive ask for the list and for single notes, first each as soon as it is
answered. That measures the capacity, and the memory; latency is then the number of connections
through the answers a second, by Little's law, however good the service is. So a second load asks at
half of the capacity, whoever of 100 connections is free, and counts latency from when a request was
due.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import load, machine, processes
from benchmarks.contenders import CloudNotes
from benchmarks.load import Load
from benchmarks.operations import OPERATIONS, check
from benchmarks.report import WORDS, Spread, Target, short
from benchmarks.throughput import RESULTS, tell
from tests.databases import database

ASKED = ("list", "one")
CONNECTIONS = [1, 100, 500]
PACED_CONNECTIONS = 100
PACE = 0.5  # of the capacity at as many connections
MOST_MEMORY_MB = 200
MOST_PACED_P99 = 10.0  # times the median on one connection
WARM_UP_SECONDS = 1


@dataclasses.dataclass(frozen=True)
class Sample:
    """A run; ``pace`` is what it was to keep in requests a second, None for as fast as it goes.

    ``memory_mb`` is the resident memory of each worker after it.
    """

    operation: str
    connections: int
    pace: float | None
    round: int
    load: Load
    memory_mb: list[float]

    def line(self) -> str:
        """Return the run in a line for whoever waits."""
        how = "as fast as it goes" if self.pace is None else f"{self.pace:.0f}/s asked"
        return (
            f"{self.operation:6}{self.connections:4} connections, {how:20}{self.load.rate:9.1f}/s  "
            f"p50 {self.load.p50_ms:.2f} ms  p99 {self.load.p99_ms:.2f} ms  "
            f"{self.load.errors} errors"
        )


@dataclasses.dataclass
class Bench:
    """The service and what was measured of it."""

    server: CloudNotes
    postmaster: int
    seconds: int
    samples: list[Sample] = dataclasses.field(default_factory=list)

    def measure(self, operation: str, rounds: int) -> None:
        """Measure an operation. Raises :class:`benchmarks.operations.WrongAnswer`."""
        requests = list(OPERATIONS[operation].requests(self.server, [1]))
        check(OPERATIONS[operation], self.server, requests[0])
        load.run(self.server.port, requests, connections=32, seconds=WARM_UP_SECONDS)
        for number in range(rounds):
            for connections in CONNECTIONS if number % 2 == 0 else CONNECTIONS[::-1]:
                self._run(operation, requests, connections, number, None)
        capacity = statistics.median(
            sample.load.rate for sample in self.of(operation, PACED_CONNECTIONS)
        )
        for number in range(rounds):
            self._run(operation, requests, PACED_CONNECTIONS, number, PACE * capacity)

    def of(self, operation: str, connections: int, *, is_paced: bool = False) -> list[Sample]:
        """Return the runs of a kind, in their order."""
        return [
            each
            for each in self.samples
            if (each.operation, each.connections, each.pace is not None)
            == (operation, connections, is_paced)
        ]

    def _run(
        self,
        operation: str,
        requests: list[bytes],
        connections: int,
        number: int,
        pace: float | None,
    ) -> None:
        processes.settle(
            self.server.processor_seconds, lambda: processes.processor_seconds(self.postmaster)
        )
        made = load.run(
            self.server.port, requests, connections=connections, seconds=self.seconds, rate=pace
        )
        memory = [processes.memory_mb(pid) for pid in processes.children(self.server.pid)]
        sample = Sample(operation, connections, pace, number, made, memory)
        self.samples.append(sample)
        tell(sample.line())

    def targets(self) -> list[Target]:
        """Return every target with what was measured."""
        errors = sum(sample.load.errors for sample in self.samples)
        most = max(memory for sample in self.samples for memory in sample.memory_mb)
        found = [
            Target("no request fails", f"{errors} do", errors == 0),
            Target(
                f"no worker has more than {MOST_MEMORY_MB} MB",
                f"{short(most)} MB",
                most <= MOST_MEMORY_MB,
            ),
        ]
        for operation in dict.fromkeys(sample.operation for sample in self.samples):
            alone = statistics.median(s.load.p50_ms for s in self.of(operation, 1))
            paced = self.of(operation, PACED_CONNECTIONS, is_paced=True)
            times = Spread.of([sample.load.p99_ms / alone for sample in paced])
            claim = (
                f"{operation}: p99 of {PACED_CONNECTIONS} connections at half of the capacity at "
                f"most {MOST_PACED_P99:g} x p50 of one"
            )
            found.append(Target(claim, times.told(" x"), times.median <= MOST_PACED_P99))
        return found

    def markdown(self, about: dict[str, Any]) -> str:
        """Return the report for people."""
        lines = ["# Many connections", "", *(f"- {name}: {value}" for name, value in about.items())]
        lines += [
            "",
            "| request | connections | asked/s | answered/s | p50 ms | p99 ms | errors | MB |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        kinds = dict.fromkeys((s.operation, s.connections, s.pace) for s in self.samples)
        for operation, connections, pace in kinds:
            samples = self.of(operation, connections, is_paced=pace is not None)
            cells = [
                operation,
                str(connections),
                "as many as it goes" if pace is None else short(pace),
                Spread.of([sample.load.rate for sample in samples]).told(),
                Spread.of([sample.load.p50_ms for sample in samples]).told(),
                Spread.of([sample.load.p99_ms for sample in samples]).told(),
                str(sum(sample.load.errors for sample in samples)),
                short(max(memory for sample in samples for memory in sample.memory_mb)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "| target | measured | met |", "|---|---|---|"]
        lines += [
            f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in self.targets()
        ]
        return "\n".join([*lines, ""])


@contextlib.contextmanager
def service(prefix: str) -> Iterator[CloudNotes]:
    """Yield CloudNotes, started and filled, on a database of its own that is dropped in the end."""
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as folder,
        database(Path(folder), is_empty=True) as where,
    ):
        server = CloudNotes(Path(folder) / "cloudnotes", where["DATABASE_URL"])
        server.start()
        try:
            server.fill()
            server.analyze()
            tell("CloudNotes is filled")
            yield server
        finally:
            server.stop()


def main() -> int:
    """Measure as the command line says; 1 if a target is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=10, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    about = machine.describe(os.environ["DATABASE_URL"])
    about |= {
        "Load": load.generator(),
        "At a pace": "Python, latency from when a request was due",
        "Runs": f"{asked.rounds} of {asked.seconds} s",
    }
    with service("cloudnotes-concurrency-") as server:
        bench = Bench(server, processes.postmaster(os.environ["DATABASE_URL"]), asked.seconds)
        for operation in ASKED:
            bench.measure(operation, asked.rounds)
    text = bench.markdown(about)
    raw = {"about": about, "samples": [dataclasses.asdict(sample) for sample in bench.samples]}
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "concurrency.md").write_text(text)
    (asked.output / "concurrency.json").write_text(json.dumps(raw, indent=1))
    print(text)
    return 0 if all(target.is_met for target in bench.targets()) else 1


if __name__ == "__main__":
    sys.exit(main())
