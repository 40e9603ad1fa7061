"""The report of :mod:`benchmarks.throughput`: medians with their spread, ratios and targets."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.load import Load
from benchmarks.operations import OPERATIONS

# Operation, baseline and how many times its requests a second CloudNotes is to answer.
RATIOS = [
    ("list", "tutorial", 3.0),
    ("list", "strong", 1.0),
    ("one", "tutorial", 3.0),
    ("one", "strong", 1.0),
    ("not_modified", "tutorial", 4.0),
    ("search", "tutorial", 2.0),
    ("create", "tutorial", 1.5),
    ("update", "tutorial", 1.5),
]
RATIO_CONNECTIONS = (32, 100)
LOGIN_CONNECTIONS = (1, 32, 100)
MOST_LOGIN_EXCESS = 0.05
MOST_P99_OVER_P50 = 4.0
WORDS = {True: "yes", False: "**no**", None: "not measured"}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run: what came of the load and what it cost.

    ``server_seconds`` and ``database_seconds`` are processor time of all the contender's and all of
    PostgreSQL's processes; ``memory_mb`` is the resident memory of the largest worker after it.
    ``is_right`` says that nothing failed and that the answers had the size of the right one.
    """

    operation: str
    contender: str
    connections: int
    round: int
    load: Load
    server_seconds: float
    database_seconds: float
    memory_mb: float
    is_right: bool

    def line(self) -> str:
        """Return the run in a line for whoever waits."""
        told = (
            f"{self.operation:18}{self.contender:11}{self.connections:4} connections"
            f"{self.load.rate:9.1f}/s  p50 {self.load.p50_ms:.2f} ms  p99 {self.load.p99_ms:.2f} ms"
        )
        return told if self.is_right else f"{told}  {self.load.errors} ERRORS OR WRONG ANSWERS"

    def server_cost(self) -> float:
        """Processor seconds of the contender for 1,000 good answers."""
        return 1000 * self.server_seconds / max(1, self.load.answered)

    def database_cost(self) -> float:
        """Processor seconds of the database for 1,000 good answers."""
        return 1000 * self.database_seconds / max(1, self.load.answered)


@dataclasses.dataclass(frozen=True)
class Hashes:
    """The hash of a log-in alone, measured beside a round of log-ins.

    ``one_ms`` is how long one takes, ``a_second`` how many all cores together compute;
    ``processor_ms`` and ``processor_ms_on_all`` are the processor's time for one in either case.
    """

    connections: int
    round: int
    one_ms: float
    processor_ms: float
    processor_ms_on_all: float
    a_second: float

    @property
    def cost_ms(self) -> float:
        """The processor's time for one hash as the log-ins beside it compute theirs."""
        return self.processor_ms if self.connections == 1 else self.processor_ms_on_all


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of some values."""
        return cls(statistics.median(values), min(values), max(values))

    def told(self, unit: str = "") -> str:
        """Return it for people."""
        return f"{short(self.median)}{unit} ({short(self.least)} to {short(self.most)})"


@dataclasses.dataclass(frozen=True)
class Target:
    """What is claimed, what was measured, and whether that is enough; None where it was not."""

    claim: str
    measured: str
    is_met: bool | None


def short(value: float) -> str:
    """Return a number in at least three figures and without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Report:
    """What a run has found."""

    def __init__(
        self,
        about: dict[str, Any],
        samples: Sequence[Sample],
        hashes: Sequence[Hashes],
        skipped: Sequence[str],
    ) -> None:
        self.about, self.samples, self.hashes, self.skipped = about, samples, hashes, skipped

    def of(self, operation: str, contender: str, connections: int) -> list[Sample]:
        """Return the runs of a contender, by their round."""
        found = [
            sample
            for sample in self.samples
            if (sample.operation, sample.contender, sample.connections)
            == (operation, contender, connections)
        ]
        return sorted(found, key=lambda sample: sample.round)

    def ratio(self, operation: str, baseline: str, connections: int) -> Spread | None:
        """Return how many times a baseline's requests CloudNotes answers.

        The ratio of the medians, with the least and the most of the ratios within a round.
        """
        ours = [sample.load.rate for sample in self.of(operation, "CloudNotes", connections)]
        theirs = [sample.load.rate for sample in self.of(operation, baseline, connections)]
        if not ours or not theirs or not all(theirs):
            return None
        paired = [one / other for one, other in zip(ours, theirs, strict=True)]
        median = statistics.median(ours) / statistics.median(theirs)
        return Spread(median, min(paired), max(paired))

    def login_excess(self, connections: int) -> Spread | None:
        """Return how much longer than its hash a log-in takes (0.05: 5 %), paired by round.

        On one connection of its latency against one hash, else of log-ins against all cores.
        """
        samples, hashes = self._log_ins(connections)
        if connections == 1:
            ours = [sample.load.p50_ms for sample in samples]
            return _excess(ours, [each.one_ms for each in hashes])
        ours = [1 / sample.load.rate for sample in samples]
        return _excess(ours, [1 / each.a_second for each in hashes])

    def login_cost(self, connections: int) -> Spread | None:
        """Return how much more processor time than its hash a log-in takes, all processes of it."""
        samples, hashes = self._log_ins(connections)
        ours = [sample.server_cost() + sample.database_cost() for sample in samples]
        return _excess(ours, [each.cost_ms for each in hashes])

    def _log_ins(self, connections: int) -> tuple[list[Sample], list[Hashes]]:
        hashes = [each for each in self.hashes if each.connections == connections]
        hashes.sort(key=lambda each: each.round)
        return self.of("login", "CloudNotes", connections), hashes

    def targets(self) -> list[Target]:
        """Return every target with what was measured. What rests on errors meets none."""
        found = []
        for operation, baseline, least in RATIOS:
            for connections in RATIO_CONNECTIONS:
                ratio = self.ratio(operation, baseline, connections)
                claim = f"{operation} at {connections}: at least {least:g} x {baseline}"
                is_enough = ratio is not None and ratio.median >= least
                found.append(self._target(claim, ratio, " x", is_enough, operation, connections))
        for connections in LOGIN_CONNECTIONS:
            excess = self.login_excess(connections)
            claim = f"login at {connections}: at most {MOST_LOGIN_EXCESS:.0%} above its hash"
            is_enough = excess is not None and excess.median <= MOST_LOGIN_EXCESS
            percent = excess and Spread(*(100 * each for each in dataclasses.astuple(excess)))
            found.append(self._target(claim, percent, " %", is_enough, "login", connections))
        tail = self._tail("list", 32)
        claim = f"list at 32: p99 at most {MOST_P99_OVER_P50:g} x p50"
        is_enough = tail is not None and tail.median <= MOST_P99_OVER_P50
        found.append(self._target(claim, tail, " x", is_enough, "list", 32))
        wrong = sum(not sample.is_right for sample in self.samples)
        found.append(Target("no errors", f"{wrong} runs with errors", wrong == 0))
        return found

    def _tail(self, operation: str, connections: int) -> Spread | None:
        """Return how many times the median latency the 99th percentile is."""
        samples = self.of(operation, "CloudNotes", connections)
        if not samples:
            return None
        paired = [sample.load.p99_ms / sample.load.p50_ms for sample in samples]
        p99 = statistics.median(sample.load.p99_ms for sample in samples)
        p50 = statistics.median(sample.load.p50_ms for sample in samples)
        return Spread(p99 / p50, min(paired), max(paired))

    def _target(
        self,
        claim: str,
        measured: Spread | None,
        unit: str,
        is_enough: bool,
        operation: str,
        connections: int,
    ) -> Target:
        if measured is None:
            return Target(claim, "", None)
        samples = self.of(operation, "CloudNotes", connections)
        if all(sample.is_right for sample in samples):
            return Target(claim, measured.told(unit), is_enough)
        return Target(claim, f"{measured.told(unit)}, with errors", is_met=False)

    def is_met(self) -> bool:
        """Return whether no target was missed."""
        return all(target.is_met is not False for target in self.targets())

    def markdown(self) -> str:
        """Return the report for people."""
        lines = ["# CloudNotes and two baselines", ""]
        lines += [f"- {name}: {value}" for name, value in self.about.items()]
        lines += [f"- skipped: {reason}" for reason in self.skipped]
        for operation in dict.fromkeys(sample.operation for sample in self.samples):
            lines += ["", f"## {OPERATIONS[operation].title}", ""]
            lines += self._table(operation)
        if self.hashes:
            lines += ["", "## The hash alone", "", *self._hashes()]
        lines += ["", "## Targets", "", "| target | measured | met |", "|---|---|---|"]
        lines += [
            f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in self.targets()
        ]
        return "\n".join([*lines, ""])

    def _table(self, operation: str) -> list[str]:
        columns = [
            "connections",
            "service",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "CPU s/1,000",
            "database CPU s/1,000",
            "MB",
            "CloudNotes answers",
        ]
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        measured = [sample for sample in self.samples if sample.operation == operation]
        for connections in dict.fromkeys(sample.connections for sample in measured):
            for contender in dict.fromkeys(sample.contender for sample in measured):
                lines.append(self._row(operation, contender, connections))
        return lines

    def _row(self, operation: str, contender: str, connections: int) -> str:
        samples = self.of(operation, contender, connections)

        def told(value: Callable[[Sample], float]) -> str:
            return Spread.of([value(sample) for sample in samples]).told()

        ratio = self.ratio(operation, contender, connections)
        errors = sum(not sample.is_right for sample in samples)
        cells = [
            str(connections),
            contender if not errors else f"{contender} ({errors} runs WITH ERRORS)",
            told(lambda sample: sample.load.rate),
            told(lambda sample: sample.load.p50_ms),
            told(lambda sample: sample.load.p99_ms),
            told(Sample.server_cost),
            told(Sample.database_cost),
            short(max(sample.memory_mb for sample in samples)),
            "" if contender == "CloudNotes" or ratio is None else ratio.told(" x"),
        ]
        return f"| {' | '.join(cells)} |"

    def _hashes(self) -> list[str]:
        lines = [
            "| connections | one hash ms | its CPU ms | hashes/s on all cores | log-in above it "
            "| log-in's CPU above it |",
            "|---|---|---|---|---|---|",
        ]
        for connections in dict.fromkeys(each.connections for each in self.hashes):
            beside = [each for each in self.hashes if each.connections == connections]
            cells = [
                str(connections),
                Spread.of([each.one_ms for each in beside]).told(),
                Spread.of([each.cost_ms for each in beside]).told(),
                Spread.of([each.a_second for each in beside]).told(),
                _percent(self.login_excess(connections)),
                _percent(self.login_cost(connections)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return lines

    def raw(self) -> dict[str, Any]:
        """Return all runs and findings for programs."""
        return {
            "about": self.about,
            "samples": [dataclasses.asdict(sample) for sample in self.samples],
            "hashes": [dataclasses.asdict(each) for each in self.hashes],
            "skipped": list(self.skipped),
            "targets": [dataclasses.asdict(target) for target in self.targets()],
        }


def _excess(ours: Sequence[float], alone: Sequence[float]) -> Spread | None:
    """Return by what part ours are more than alone (0.05: 5 %), with the spread of the pairs."""
    if not ours or not alone:
        return None
    paired = [one / other - 1 for one, other in zip(ours, alone, strict=True)]
    median = statistics.median(ours) / statistics.median(alone) - 1
    return Spread(median, min(paired), max(paired))


def _percent(share: Spread | None) -> str:
    if share is None:
        return ""
    return f"{share.median:.1%} ({share.least:.1%} to {share.most:.1%})"
