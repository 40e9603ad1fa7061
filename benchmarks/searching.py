"""What searches cost one user among many notes: ``python -m benchmarks.searching``.

Two databases stand side by side (``make bench-search``): in one a user has 1,000 notes and there
are no others, in the other there are 1,000,000, of which the same user has 1,000 and another
100,000. The notes are real texts. One request follows the other on one connection, in rounds that
alternate.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote_plus

import psycopg

from benchmarks import growth, machine
from benchmarks.contenders import CloudNotes
from benchmarks.filling import email
from benchmarks.growth import COLLECTOR, FEW, MANY, READER, Reading, Series
from benchmarks.operations import ask, write_request
from benchmarks.report import WORDS, Spread, Target
from benchmarks.texts import Text, texts
from benchmarks.throughput import RESULTS, tell
from notes.search import terms
from tests.databases import database

SIZES = [1_000, 1_000_000]
TEXTS = 10_000  # different ones
MOST_GROWTH, MOST_DEPTH = 3.0, 1.3
QUERIES = 200  # of each kind
PAGES = 20  # to a deep page
BEGAN_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ANY_OWNER = 35  # of prepared texts; "z/" begins their terms
NOTES = (
    "notes_note (id, owner_id, title, content, created_at, updated_at, state_since, state_by_id)"
)
INDEXED = "notes_indexednote (note_id, owner_id, edited_at, terms, words, stems)"
INDEXES = f"""
INSERT INTO notes_searchindex (user_id, seq, made)
SELECT user_id, seq, 'simple/{terms.FORMAT}' FROM notes_feed
"""


def fill(server: CloudNotes, size: int, told: Sequence[Text]) -> None:
    """Fill the migrated, empty tables of a CloudNotes, past its code, but with what that makes."""
    turns = growth.owners(size)
    prepared = [_prepared(text) for text in told]
    with psycopg.connect(server.database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '1GB'")
        about = {"password": server.inside("hashed_password"), "users": max(turns)}
        connection.execute(growth.USERS, about)
        ids = dict(connection.execute("SELECT email, id FROM accounts_user").fetchall())
        slots = [ids[email(user)] for user in turns]
        (made,) = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'notes_by_terms'"
        ).fetchone() or ("",)
        connection.execute("DROP INDEX notes_by_terms")
        with connection.cursor() as cursor, cursor.copy(f"COPY {NOTES} FROM STDIN") as copy:
            for pk, owner, number, at in _rows(size, slots):
                text = told[number % len(told)]
                copy.write_row((pk, owner, text.title, text.content, at, at, at, owner))
        with connection.cursor() as cursor, cursor.copy(f"COPY {INDEXED} FROM STDIN") as copy:
            for pk, owner, number, at in _rows(size, slots):
                about_text = prepared[number % len(told)]
                own = about_text.terms.replace("z/", terms.prefix(owner))
                copy.write_row((pk, owner, at, own, about_text.words, ""))
        connection.execute("SELECT setval('notes_note_id_seq', %s)", [size])
        connection.execute(made)
        connection.execute(growth.CHANGES)
        connection.execute(growth.FEEDS)
        connection.execute(INDEXES)
        connection.execute(growth.SESSION_ROWS, {"sessions": 1})
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _rows(size: int, slots: Sequence[int]) -> Iterator[tuple[int, int, int, dt.datetime]]:
    """Yield id, owner, number among the owner's and time of every note.

    A user's notes do not lie together: everybody writes all the time.
    """
    had: dict[int, int] = {}
    for number in range(size):
        owner = slots[number % len(slots)]
        had[owner] = had.get(owner, -1) + 1
        yield number + 1, owner, had[owner], BEGAN_AT + dt.timedelta(seconds=number)


def _prepared(text: Text) -> terms.Prepared:
    return terms.prepare(
        owner=ANY_OWNER, parts=(text.title, "", "", text.content), language="simple"
    )


@contextlib.contextmanager
def running(sizes: Sequence[int], told: Sequence[Text]) -> Iterator[list[Series]]:
    """Yield whose searches are measured, each database filled and served."""
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="cloudnotes-search-")
        folder = Path(stack.enter_context(made))
        found = []
        for size in sizes:
            where = stack.enter_context(database(folder, is_empty=True))
            server = CloudNotes(folder / str(size), where["DATABASE_URL"])
            server.start()
            stack.callback(server.stop)
            fill(server, size, told)
            tell(f"{size:,} notes are filled")
            found.append(Series(f"{size:,}", server, READER, FEW))
            if size >= 2 * MANY:
                found.append(Series(f"{size:,} (a user of {MANY:,})", server, COLLECTOR, MANY))
        yield found


def queries(told: Sequence[Text]) -> dict[str, list[str]]:
    """Return what is searched for, by kind; common words as often as they are written."""
    chosen = random.Random(2)

    def words() -> list[str]:
        while True:
            found = re.findall(r"[A-Za-z]{3,}", chosen.choice(told).content)
            if len(found) > 10:
                return found

    def word() -> str:
        return chosen.choice(words())

    def pair() -> list[str]:
        found = words()
        at = chosen.randrange(len(found) - 1)
        return found[at : at + 2]

    makers = {
        "one word": word,
        "two words of a note": lambda: " ".join(chosen.sample(words(), 2)),
        "a phrase": lambda: f'"{" ".join(pair())}"',
        "the beginning of a word": lambda: word()[:3],
        "a word without another": lambda: f"{word()} -{word()}",
        "a word of titles": lambda: f"title:{word()}",
    }
    return {name: [make() for _ in range(QUERIES)] for name, make in makers.items()}


def requests_of(series: Series, asked: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """Return what is asked, by the name of the operation, with a deep page of a common word."""
    found = {
        name: [_get(series, f"/search?q={quote_plus(each)}") for each in some]
        for name, some in asked.items()
    }
    everything = [
        _get(series, f"/search?q={quote_plus(q)}") for some in asked.values() for q in some
    ]
    cursor, path = "", "/search?q=the"
    for _ in range(PAGES):
        answer = ask(series.server, _get(series, path + (f"&cursor={cursor}" if cursor else "")))
        assert answer.status == 200, answer
        cursor = answer.json()["next"]
    return {
        **found,
        "all of these": everything,
        "a common word, first page": [_get(series, path)],
        "a common word, deep page": [_get(series, f"{path}&cursor={cursor}")],
    }


def _get(series: Series, path: str) -> bytes:
    return write_request(series.server, "GET", path, token=series.server.token(series.user))


def targets(report: growth.Report) -> list[Target]:
    """Return every target with what was measured."""
    found = []
    for name in report.largest:
        grown = report.growth("all of these", name, "p99_ms")
        claim = f"searches, {name}: p99 at most {MOST_GROWTH:g} x"
        found.append(Target(claim, grown.told(" x"), grown.median <= MOST_GROWTH))
    for name in report.names:
        deep, first = (
            Spread.of(report.of(f"a common word, {which} page", name, "p50_ms")).median
            for which in ("deep", "first")
        )
        claim = f"{name}: a deep page at most {MOST_DEPTH:g} x the first"
        found.append(Target(claim, f"{deep / first:.2f} x", deep / first <= MOST_DEPTH))
    errors = sum(each.errors for each in report.readings)
    found.append(Target("no errors", str(errors), errors == 0))
    return found


def main() -> int:
    """Measure as the command line says; 1 if a target is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 1,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=400, help="of each round")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    about = machine.describe(os.environ["DATABASE_URL"])
    about["Rounds"] = f"{asked.rounds} of {asked.requests} requests, one after the other"
    told_texts = texts(TEXTS)
    random.Random(1).shuffle(told_texts)
    tell(f"{len(told_texts):,} texts")
    with running(asked.sizes, told_texts) as everybody:
        wanted = queries(told_texts[:FEW])
        requests = {series.name: requests_of(series, wanted) for series in everybody}
        readings: list[Reading] = growth.measure(
            everybody, requests, rounds=asked.rounds, count=asked.requests
        )
        largest = [series for series in everybody if series.server is everybody[-1].server]
    names, largest_names = [s.name for s in everybody], [s.name for s in largest]
    report = growth.Report(about, names, largest_names, readings, [], [])
    lines = report.markdown().partition("## Targets")[0].rstrip().splitlines()
    lines += ["", "## Targets", "", "| target | measured | met |", "|---|---|---|"]
    told = targets(report)
    lines += [f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in told]
    text = "\n".join([*lines, ""])
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "searching.md").write_text(text)
    (asked.output / "searching.json").write_text(json.dumps(report.raw(), indent=1))
    print(text)
    return 0 if all(each.is_met for each in told) else 1


if __name__ == "__main__":
    sys.exit(main())
