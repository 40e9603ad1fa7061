"""What many notes cost one user of them: ``python -m benchmarks.growth`` (``make bench-growth``).

Databases of different sizes stand side by side, each with a CloudNotes of its own. In all of them
the same user has 1,000 notes, in the largest one another has 100,000. One request follows the other
on one connection, in rounds that alternate between the sizes. Then every statement that the hot
requests run is explained in each database: what is quick in one may be planned anew in another.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import load, machine, processes
from benchmarks.contenders import CloudNotes
from benchmarks.filling import CONTENT_BYTES, email
from benchmarks.generator import MARK
from benchmarks.operations import NotOffered, ask, conditional, write_request
from benchmarks.plans import FEW_ROWS, Plan, explain
from benchmarks.report import WORDS, Spread, Target
from benchmarks.throughput import RESULTS, tell
from tests.databases import database

# At 200,000 one user has half of all: the planner judges otherwise where somebody has much.
SIZES = [1_000, 100_000, 200_000, 1_000_000]
FEW, MANY = 1_000, 100_000  # notes of one user
READER, COLLECTOR, WRITER = 1, 2, 3  # has few, has many, creates what is created
OTHERS_FROM = 4
MOST_GROWTH = 1.3
PAGE, LONGEST_PAGE, LONG_SYNC_PAGE = 20, 200, 400
DEPTH = 0.8  # of the notes lie before a deep page
DIFFERENT_NOTES = 200
WARM_UP = 50  # requests
BEFORE = -1  # the number of the round that warms up, of which only errors count
MOST_SECONDS = 120  # of a round
FEWEST_USERS = 1_000  # most of them without notes in a small database
SESSIONS = 3  # of each user
ONE_FILE_IN = 20  # notes

USERS = """
INSERT INTO accounts_user (email, email_folded, password, is_superuser, created_at)
SELECT 'user' || n || '@example.org', 'user' || n || '@example.org', %(password)s, false, now()
FROM generate_series(1, %(users)s::int) n
"""
# A user's notes do not lie together: everybody writes all the time.
NOTES = """
INSERT INTO notes_note (owner_id, title, content, created_at, updated_at, state_since, state_by_id)
SELECT owner, 'Note ' || n, left(repeat(md5(n::text) || ' ', 16), %(bytes)s::int), at, at, at, owner
FROM generate_series(%(first)s::int, %(last)s::int) n,
LATERAL (
    SELECT (%(owners)s::bigint[])[1 + n %% cardinality(%(owners)s::bigint[])] AS owner,
    timestamptz '2026-01-01 00:00Z' + n * interval '1 second' AS at
) about
"""
CHANGES = """
INSERT INTO notes_change (user_id, note_id, seq)
SELECT owner_id, id, row_number() OVER (PARTITION BY owner_id ORDER BY id) FROM notes_note
"""
FEEDS = (
    "INSERT INTO notes_feed (user_id, seq) SELECT user_id, max(seq) FROM notes_change GROUP BY 1"
)
SESSION_ROWS = """
INSERT INTO accounts_session (user_id, refresh_id, rotated_at, created_at, last_seen_at, expires_at)
SELECT id, gen_random_uuid(), now(), now(), now(), now() + interval '30 days'
FROM accounts_user, generate_series(1, %(sessions)s::int)
"""
OBJECTS = """
INSERT INTO notes_storedobject (key, state, size, sha256, content_type, created_at)
SELECT 'note ' || id, 'ready', 1000, repeat('0', 64), 'text/plain', created_at
FROM notes_note WHERE id %% %(one_in)s::int = 0
"""
ATTACHMENTS = """
INSERT INTO notes_attachment (note_id, object_id, name, created_at)
SELECT substr(key, 6)::bigint, id, 'file.txt', created_at FROM notes_storedobject
"""


@dataclasses.dataclass(frozen=True)
class Series:
    """A user of a database: whose requests are measured."""

    name: str
    server: CloudNotes
    user: int
    notes: int


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a round of requests took, in milliseconds."""

    operation: str
    series: str
    round: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int

    def line(self) -> str:
        """Return the round in a line for whoever waits."""
        return (
            f"{self.operation:24}{self.series:34}p50 {self.p50_ms:.2f} ms  p99 {self.p99_ms:.2f} ms"
        )


def owners(size: int) -> list[int]:
    """Return the numbers of the users to whom so many notes go in turn.

    Each of them gets 1,000 notes for every time that he is named.
    """
    slots = [READER]
    if size >= 2 * MANY:
        slots += [COLLECTOR] * (MANY // FEW)
    return slots + list(range(OTHERS_FROM, OTHERS_FROM + size // FEW - len(slots)))


def fill(server: CloudNotes, size: int) -> None:
    """Fill the migrated, empty tables of a CloudNotes with so many notes, past its code.

    Foreign keys and triggers are not looked at, which would take ten times as long: what is
    written here fits together.
    """
    turns = owners(size)
    with psycopg.connect(server.database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        about = {"password": server.inside("hashed_password"), "users": max(*turns, FEWEST_USERS)}
        connection.execute(USERS, about)
        ids = dict(connection.execute("SELECT email, id FROM accounts_user").fetchall())
        slots = [ids[email(user)] for user in turns]
        for first in range(0, size, MANY):
            about = {"first": first, "last": min(first + MANY, size) - 1}
            connection.execute(NOTES, {**about, "owners": slots, "bytes": CONTENT_BYTES})
        connection.execute(CHANGES)
        connection.execute(FEEDS)
        connection.execute(SESSION_ROWS, {"sessions": SESSIONS})
        connection.execute(OBJECTS, {"one_in": ONE_FILE_IN})
        connection.execute(ATTACHMENTS)
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


@contextlib.contextmanager
def running(sizes: Sequence[int]) -> Iterator[list[Series]]:
    """Yield whose requests are measured, each database filled and served."""
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="cloudnotes-growth-")
        folder = Path(stack.enter_context(made))
        found = []
        for size in sizes:
            where = stack.enter_context(database(folder, is_empty=True))
            server = CloudNotes(folder / str(size), where["DATABASE_URL"])
            server.start()
            stack.callback(server.stop)
            fill(server, size)
            tell(f"{size:,} notes are filled")
            found.append(Series(f"{size:,}", server, READER, FEW))
            if size >= 2 * MANY:
                found.append(Series(f"{size:,} (a user of {MANY:,})", server, COLLECTOR, MANY))
        yield found


def deep_cursor(series: Series, path: str, page: int, field: str) -> str:
    """Return the cursor behind most of a user's notes, by going there."""
    cursor, told = "", series.notes * DEPTH
    while told > 0:
        asked = f"{path}?limit={page}" + (f"&cursor={cursor}" if cursor else "")
        answer = ask(series.server, _get(series, asked))
        assert answer.status == 200, answer
        cursor = answer.json()[field]
        told -= page
    return cursor


def _get(series: Series, path: str) -> bytes:
    token = series.server.token(series.user)
    return write_request(series.server, "GET", path, token=token)


def hot_requests(series: Series) -> tuple[dict[str, list[bytes]], list[str]]:
    """Return what is asked by the name of the operation, and what cannot be asked and why."""
    server = series.server
    in_list = deep_cursor(series, "/notes", LONGEST_PAGE, "next")
    in_feed = deep_cursor(series, "/sync", LONG_SYNC_PAGE, "cursor")
    ids = random.Random(1).sample(server.note_ids(series.user), DIFFERENT_NOTES)
    text = MARK.decode() + "n" * (CONTENT_BYTES - len(MARK))
    body = json.dumps({"title": "Note", "content": text}).encode()
    token = server.token(WRITER)
    requests = {
        "list, first page": [_get(series, f"/notes?limit={PAGE}")],
        "list, deep page": [_get(series, f"/notes?limit={PAGE}&cursor={in_list}")],
        "one note": [_get(series, f"/notes/{pk}") for pk in ids],
        "create": [write_request(server, "POST", "/notes", token=token, body=body)],
        "sync, first page": [_get(series, f"/sync?limit={PAGE}")],
        "sync, deep page": [_get(series, f"/sync?limit={PAGE}&cursor={in_feed}")],
    }
    skipped = []
    for name, what in [("list, first page", "the list"), ("one note", "a note")]:
        try:
            requests[f"{name}, 304"] = list(conditional(server, requests[name], what))
        except NotOffered as reason:
            skipped.append(f"{name}, 304: {reason}")
    return requests, skipped


def check(operation: str, series: Series, request: bytes) -> None:
    """Make sure that a request is answered as it should be. Raises AssertionError."""
    answer = ask(series.server, request)
    expected = 304 if operation.endswith("304") else 201 if operation == "create" else 200
    assert answer.status == expected, (operation, answer)
    if operation.endswith("page"):
        listed = answer.json()
        assert len(listed.get("results") or listed["changes"]) == PAGE, (operation, answer)


def measure(
    everybody: Sequence[Series],
    requests: dict[str, dict[str, list[bytes]]],
    *,
    rounds: int,
    count: int,
) -> list[Reading]:
    """Return what every operation takes for everybody: ``count`` requests a round."""
    servers = {series.server.pid: series.server for series in everybody}.values()
    postmaster = processes.postmaster(os.environ["DATABASE_URL"])
    readings = []
    for operation in requests[everybody[0].name]:
        for series in everybody:
            asked = requests[series.name][operation]
            check(operation, series, asked[0])
            readings.append(_read(operation, series, asked, BEFORE, WARM_UP))
        for number in range(rounds):
            for series in everybody if number % 2 == 0 else everybody[::-1]:
                processes.settle(
                    *(server.processor_seconds for server in servers),
                    lambda: processes.processor_seconds(postmaster),
                )
                asked = requests[series.name][operation]
                reading = _read(operation, series, asked, number, count)
                readings.append(reading)
                tell(reading.line())
    return readings


def _read(operation: str, series: Series, asked: list[bytes], number: int, count: int) -> Reading:
    port = series.server.port
    made = load.run(port, asked, connections=1, seconds=MOST_SECONDS, count=count)
    figures = (made.p50_ms, made.p99_ms, made.max_ms)
    return Reading(operation, series.name, number, *figures, errors=made.errors)


@dataclasses.dataclass(frozen=True)
class Report:
    """What the rounds and the plans show.

    ``smallest`` is what the ``largest`` are compared with; ``names`` are those of all series.
    """

    about: dict[str, Any]
    names: list[str]
    largest: list[str]
    readings: list[Reading]
    plans: list[Plan]
    skipped: list[str]

    @property
    def smallest(self) -> str:
        """The series that the others are compared with."""
        return self.names[0]

    def of(self, operation: str, series: str, figure: str) -> list[float]:
        """Return a figure of all rounds of an operation for somebody, in their order."""
        found = [
            each
            for each in self.readings
            if (each.operation, each.series) == (operation, series) and each.round != BEFORE
        ]
        return [getattr(each, figure) for each in sorted(found, key=lambda each: each.round)]

    def growth(self, operation: str, series: str, figure: str) -> Spread:
        """Return how many times as long it takes as in the smallest database.

        The ratio of the medians, with the least and the most of the ratios within a round.
        """
        small = self.of(operation, self.smallest, figure)
        large = self.of(operation, series, figure)
        paired = [one / other for one, other in zip(large, small, strict=True)]
        median = statistics.median(large) / statistics.median(small)
        return Spread(median, min(paired), max(paired))

    def targets(self) -> list[Target]:
        """Return every target with what was measured."""
        found = []
        for operation in dict.fromkeys(each.operation for each in self.readings):
            for name in self.largest:
                growth = self.growth(operation, name, "p99_ms")
                claim = f"{operation}, {name}: p99 at most {MOST_GROWTH:g} x"
                found.append(Target(claim, growth.told(" x"), growth.median <= MOST_GROWTH))
        walks = sum(bool(plan.walked()) for plan in self.plans)
        claim = f"no statement reads more than {FEW_ROWS:,} rows from end to end"
        found.append(Target(claim, f"{walks} of {len(self.plans)} do", walks == 0))
        errors = sum(each.errors for each in self.readings)
        found.append(Target("no errors", str(errors), errors == 0))
        return found

    def is_met(self) -> bool:
        """Return whether no target was missed."""
        return all(target.is_met for target in self.targets())

    def markdown(self) -> str:
        """Return the report for people."""
        lines = ["# What many notes cost", ""]
        lines += [f"- {name}: {value}" for name, value in self.about.items()]
        lines += [f"- skipped: {reason}" for reason in self.skipped]
        lines += ["", "| request | notes | p50 ms | p99 ms | growth of p50 | growth of p99 |"]
        lines += ["|---|---|---|---|---|---|"]
        for operation in dict.fromkeys(each.operation for each in self.readings):
            lines += [self._row(operation, name) for name in self.names]
        lines += ["", "## Targets", "", "| target | measured | met |", "|---|---|---|"]
        lines += [
            f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in self.targets()
        ]
        lines += ["", "## What the database does for them", ""]
        lines += ["| request | statement | indexes | read from end to end | ms |"]
        lines += ["|---|---|---|---|---|", *(plan.row() for plan in self.plans)]
        for plan in self.plans:
            lines += ["", f"### {plan.request}", "", "```", plan.statement, "", plan.text, "```"]
        return "\n".join([*lines, ""])

    def _row(self, operation: str, series: str) -> str:
        cells = [operation, series]
        cells += [
            Spread.of(self.of(operation, series, each)).told() for each in ("p50_ms", "p99_ms")
        ]
        is_smallest = series == self.smallest
        cells += [
            "" if is_smallest else self.growth(operation, series, each).told(" x")
            for each in ("p50_ms", "p99_ms")
        ]
        return f"| {' | '.join(cells)} |"

    def raw(self) -> dict[str, Any]:
        """Return all rounds, plans and findings for programs."""
        return {
            "about": self.about,
            "readings": [dataclasses.asdict(each) for each in self.readings],
            "plans": [dataclasses.asdict(each) for each in self.plans],
            "skipped": self.skipped,
            "targets": [dataclasses.asdict(each) for each in self.targets()],
        }


def main() -> int:
    """Measure as the command line says; 1 if a target is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 1,000")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=300, help="of each round")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    about = machine.describe(os.environ["DATABASE_URL"])
    about["Rounds"] = f"{asked.rounds} of {asked.requests} requests, one after the other"
    with running(asked.sizes) as everybody:
        requests, skipped = {}, []
        for series in everybody:
            requests[series.name], skipped = hot_requests(series)
            tell(f"{series.name}: the requests are ready")
        readings = measure(everybody, requests, rounds=asked.rounds, count=asked.requests)
        largest = [series for series in everybody if series.server is everybody[-1].server]
        plans = []
        for series in everybody:
            first = {name: asked[0] for name, asked in requests[series.name].items()}
            plans += explain(series.server, first, series.name)
    report = Report(
        about,
        [series.name for series in everybody],
        [series.name for series in largest],
        readings,
        plans,
        skipped,
    )
    text = report.markdown()
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "growth.md").write_text(text)
    (asked.output / "growth.json").write_text(json.dumps(report.raw(), indent=1))
    print(text.partition("### ")[0])
    return 0 if report.is_met() else 1


if __name__ == "__main__":
    sys.exit(main())
