"""CloudNotes beside two baselines under the same load: ``python -m benchmarks.throughput``.

All three run side by side on one PostgreSQL and the same two cores, with the same notes; only the
one under load is asked. Every figure is the median of alternating runs (A B C, C B A, A B C …), so
that what the machine does besides falls on all alike. ``make bench`` installs what it takes.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import load, machine, processes, report
from benchmarks.contenders import CONTENDERS, CloudNotes, Contender
from benchmarks.operations import OPERATIONS, NotOffered, Operation, check, check_guards
from benchmarks.report import Hashes, Sample
from tests.databases import database
from tests.servers import ROOT

CORES = 2
WARM_UP_SECONDS = 1
WARM_UP_CONNECTIONS = 32
# An answer of another size than the one that was looked at is another answer.
LARGEST_HEAD_BYTES = 1500
RESULTS = ROOT / "benchmarks" / "results"


@dataclasses.dataclass
class Bench:
    """The contenders, what was measured, and how."""

    contenders: list[Contender]
    postmaster: int
    seconds: int
    runs: int
    samples: list[Sample] = dataclasses.field(default_factory=list)
    hashes: list[Hashes] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)

    def measure(self, name: str, connections: Sequence[int], users: Sequence[int]) -> None:
        """Measure an operation with all contenders, or say that one of them does not have it.

        Raises :class:`benchmarks.operations.WrongAnswer` if one does not do it right.
        """
        operation, requests = OPERATIONS[name], {}
        try:
            for contender in self.contenders:
                requests[contender.name] = list(operation.requests(contender, users))
        except NotOffered as reason:
            self.skipped.append(f"{name}: {reason}")
            tell(f"{name}: skipped, {reason}")
            return
        sizes = {
            contender.name: check(operation, contender, requests[contender.name][0])
            for contender in self.contenders
        }
        if name != "login":  # which has nothing to warm up and takes its time
            for contender in self.contenders:
                load.run(
                    contender.port,
                    requests[contender.name],
                    connections=WARM_UP_CONNECTIONS,
                    seconds=WARM_UP_SECONDS,
                )
        for number in connections:
            for round_number in range(self.runs):
                if name == "login":
                    self._hash(number, round_number)
                order = self.contenders if round_number % 2 == 0 else self.contenders[::-1]
                for contender in order:
                    sample = self._run(
                        name, operation, contender, number, round_number, requests, sizes
                    )
                    self.samples.append(sample)
                    tell(sample.line())

    def _run(
        self,
        name: str,
        operation: Operation,
        contender: Contender,
        connections: int,
        round_number: int,
        requests: dict[str, list[bytes]],
        sizes: dict[str, int],
    ) -> Sample:
        asked = requests[contender.name]
        self._settle()
        server, database_before = contender.processor_seconds(), self._database_seconds()
        made = load.run(
            contender.port,
            asked,
            connections=connections,
            seconds=self.seconds,
            count=self._log_ins(connections) if name == "login" else None,
        )
        server = contender.processor_seconds() - server
        used_by_database = max(0.0, self._database_seconds() - database_before)
        mean = made.bytes / max(1, made.requests)
        size = sizes[contender.name]
        return Sample(
            operation=name,
            contender=contender.name,
            connections=connections,
            round=round_number,
            load=made,
            server_seconds=server,
            database_seconds=used_by_database,
            memory_mb=contender.memory_mb(),
            is_right=not made.errors and size / 2 <= mean <= 2 * size + LARGEST_HEAD_BYTES,
        )

    def _settle(self) -> None:
        used = [contender.processor_seconds for contender in self.contenders]
        processes.settle(*used, self._database_seconds)

    def _database_seconds(self) -> float:
        return processes.processor_seconds(self.postmaster)

    def _log_ins(self, connections: int) -> int:
        """Return how many log-ins a run has: about its seconds' worth, each connection one."""
        return max(connections, round(self.hashes[-1].a_second * self.seconds))

    def _hash(self, connections: int, round_number: int) -> None:
        """Measure the hash alone, beside the log-ins of a round."""
        self._settle()
        cloudnotes = next(each for each in self.contenders if isinstance(each, CloudNotes))
        told = cloudnotes.inside("hash_passwords")
        self.hashes.append(Hashes(connections=connections, round=round_number, **told))


def tell(line: str) -> None:
    """Show how far it is, beside the report."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(kinds: Sequence[type[Contender]]) -> Iterator[list[Contender]]:
    """Yield the contenders, started and filled; their databases are dropped in the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="cloudnotes-throughput-"))
        )
        contenders = []
        for kind in kinds:
            where = stack.enter_context(database(folder, is_empty=True))
            contender = kind(folder / kind.name, where["DATABASE_URL"])
            try:
                contender.start()
            except RuntimeError:
                tell(contender.log.read_text())  # which is gone with the folder
                raise
            stack.callback(contender.stop)
            contender.fill()
            contender.analyze()
            check_guards(contender)
            tell(f"{contender.name} is filled")
            contenders.append(contender)
        yield contenders


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""

    def names(known: Sequence[str]) -> Any:
        def read(text: str) -> list[str]:
            chosen = text.split(",")
            if unknown := set(chosen) - set(known):
                raise argparse.ArgumentTypeError(f"{sorted(unknown)} is none of {list(known)}")
            return chosen

        return read

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument("--runs", type=int, default=6, help="of each contender")
    parser.add_argument("--operations", type=names(list(OPERATIONS)), default=list(OPERATIONS))
    parser.add_argument("--connections", type=numbers, default=[1, 32, 100])
    parser.add_argument("--contenders", type=names(list(CONTENDERS)), default=list(CONTENDERS))
    parser.add_argument("--accounts", type=int, default=25, help="that ask, 25 at most")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    if "cloudnotes" not in asked.contenders:
        parser.error("cloudnotes is what the others are compared with")
    return asked


def main() -> int:
    """Compare as the command line says; 1 if a target is not met."""
    asked = parse()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # its children too
    about = machine.describe(os.environ["DATABASE_URL"], with_baselines=True)
    with running([CONTENDERS[name] for name in asked.contenders]) as contenders:
        bench = Bench(
            contenders,
            processes.postmaster(os.environ["DATABASE_URL"]),
            seconds=asked.seconds,
            runs=asked.runs,
        )
        for name in asked.operations:
            bench.measure(name, asked.connections, range(1, asked.accounts + 1))
    about |= {
        "Load": load.generator(),
        "Log-ins": "Python, to the last answer",
        "Runs": f"{asked.runs} of {asked.seconds} s",
        "Accounts that ask": asked.accounts,
    }
    found = report.Report(about, bench.samples, bench.hashes, bench.skipped)
    text = found.markdown()
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "throughput.md").write_text(text)
    (asked.output / "throughput.json").write_text(json.dumps(found.raw(), indent=1))
    print(text)
    return 0 if found.is_met() else 1


if __name__ == "__main__":
    sys.exit(main())
