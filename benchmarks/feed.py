"""Whether clients of the feed miss a change while many write: ``python -m benchmarks.feed``.

Processes of writers change the same notes of a handful of accounts through the actions, linger
before their commits and now and then roll back, while the database (SQLite: the web service) is
killed and started again. Clients follow ``GET sync`` on a running service and keep copies from
nothing but what it tells them. In the end every copy is compared with the notes, and every change
that was acknowledged is looked for in the history.
"""

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import json
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.deploy.postgresql import BINARIES, PostgreSQL
from tests.notes import chains
from tests.servers import ROOT, Server

ACCOUNTS = 6
THREADS = 8  # of each process of writers
ROLLBACKS = 0.01
MARK = f"rolled back {secrets.token_hex(8)}"  # what no one may ever find
BEGIN_ANEW = 1 / 400  # of the pages, so that clients begin in the middle too
LONGEST_PAUSE_SECONDS = 0.15
TIMEOUT_SECONDS = 300  # with a server that starts among so many writers
# On SQLite who lingers keeps everybody waiting: it has one lock for all that is written.
DELAYS = {
    "postgresql": {"delay": 0.003, "how_often": 1.0},
    "sqlite": {"delay": 0.001, "how_often": 0.05},
}
WRITERS = "\n".join(
    [
        "import json, sys, django",
        "django.setup()",
        "from benchmarks import writers",
        "writers.main(json.loads(sys.argv[1]))",
    ]
)


@dataclasses.dataclass
class Report:
    """What came of a run; ``lost``, ``phantom`` and ``disorder`` say what is wrong."""

    acknowledged: int = 0
    unknown: int = 0
    rolled_back: int = 0
    failed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    seconds: float = 0.0
    restarts: int = 0
    pages: int = 0
    unavailable: int = 0
    begun_anew: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    phantom: list[str] = dataclasses.field(default_factory=list)
    disorder: list[str] = dataclasses.field(default_factory=list)

    def table(self) -> str:
        """Return the figures for people."""
        figures = {
            "changes": self.acknowledged,
            "seconds": round(self.seconds, 1),
            "changes/s": round(self.acknowledged / self.seconds),
            "lost": len(self.lost),
            "phantom": len(self.phantom),
            "out of order": len(self.disorder),
            "restarts": self.restarts,
            "rolled back": self.rolled_back,
            "outcome unknown": self.unknown,
            "failed before commit": dict(self.failed) or 0,
            "pages": self.pages,
            "requests that failed": self.unavailable,
            "clients begun anew": self.begun_anew,
        }
        wrong = [*self.lost, *self.phantom, *self.disorder][:20]
        return "\n".join([*(f"{name:22}{value}" for name, value in figures.items()), *wrong])


class Outcomes:
    """What the writers have told so far."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.acknowledged = 0
        self.has_failed = False
        self.changed = threading.Condition()

    def read(self, process: subprocess.Popen[str]) -> None:
        """Take in all that a process of writers tells. Raises RuntimeError if it fails."""
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                with self.changed:
                    self.told.append(json.loads(line))
                    self.acknowledged += self.told[-1]["outcome"] == "acknowledged"
                    self.changed.notify_all()
        with self.changed:
            self.has_failed |= process.wait() != 0
            self.changed.notify_all()
        if self.has_failed:
            raise RuntimeError("a process of writers failed; the server's log tells why")

    def wait_for(self, number: int) -> None:
        """Return when so many changes were acknowledged, or never will be."""
        with self.changed:
            self.changed.wait_for(lambda: self.has_failed or self.acknowledged >= number)

    def of(self, *outcomes: str) -> list[dict[str, Any]]:
        """Return the changes that ended like this."""
        return [change for change in self.told if change["outcome"] in outcomes]


class Account:
    """An account on the server and what a client of it may ask."""

    def __init__(self, server: Server) -> None:
        self.server = server
        body = {"email": f"{secrets.token_hex(6)}@example.org", "password": secrets.token_hex(12)}
        tokens = requests.post(f"{server.api}/auth/register", json=body, timeout=30).json()
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.id: int = self.get(requests, "auth/me").json()["id"]

    def get(self, client: Any, path: str, **parameters: Any) -> requests.Response:
        """Ask the server; the answer may be any. Raises requests' errors."""
        url = f"{self.server.api}/{path}"
        answer: requests.Response = client.get(
            url, params=parameters, headers=self.headers, timeout=60
        )
        return answer

    def notes(self) -> dict[int, tuple[Any, ...]]:
        """Return the live notes as the list of notes has them."""
        found: dict[int, tuple[Any, ...]] = {}
        parameters: dict[str, Any] = {"limit": 200}
        while True:
            page = self.get(requests, "notes", **parameters).json()
            found |= {note["id"]: copied(note) for note in page["results"]}
            if not page["next"]:
                return found
            parameters["cursor"] = page["next"]


class Follower:
    """A client that knows of the notes only what the feed has told it."""

    def __init__(self, account: Account, number: int) -> None:
        self.account, self.number = account, number
        self.random = random.Random(number)
        self.pages = self.unavailable = self.begun_anew = 0
        self.disorder: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self.cursor, self.seq = "", 0
        self.copy: dict[int, tuple[Any, ...]] = {}

    def follow(self, finished: threading.Event) -> None:
        """Follow the feed until it ends, once all is ``finished``. Raises on a refusal."""
        with requests.Session() as client:
            while True:
                is_last = finished.is_set()
                if not is_last and self.random.random() < BEGIN_ANEW:
                    self.begin()
                    self.begun_anew += 1
                if not self.take(client):
                    if is_last:
                        return
                    finished.wait(self.random.uniform(0, LONGEST_PAUSE_SECONDS))

    def take(self, client: requests.Session) -> bool:
        """Take a page into the copy and return whether to ask for another one at once."""
        parameters: dict[str, Any] = {"limit": self.random.randint(1, 60)}
        if self.cursor:
            parameters["cursor"] = self.cursor
        page = self.ask(client, **parameters)
        self.pages += 1
        ids = [change["id"] for change in page["changes"]]
        if len(ids) != len(set(ids)):
            self.disorder.append(f"client {self.number}: a note twice in a page")
        for change in page["changes"]:
            if change["seq"] <= self.seq:
                self.disorder.append(f"client {self.number}: {change['seq']} after {self.seq}")
            self.seq = change["seq"]
            if change["deleted"]:
                self.copy.pop(change["id"], None)
            else:
                self.copy[change["id"]] = copied(change["note"])
        self.cursor = page["cursor"]
        return bool(page["has_more"])

    def ask(self, client: requests.Session, **parameters: Any) -> dict[str, Any]:
        """Return a page, whenever the service is there to give it."""
        while True:
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                answer = self.account.get(client, "sync", **parameters)
                if answer.status_code != 503:
                    answer.raise_for_status()
                    page: dict[str, Any] = answer.json()
                    return page
            self.unavailable += 1
            time.sleep(self.random.uniform(0, LONGEST_PAUSE_SECONDS))

    def digest(self) -> str:
        """Return the digest of the copy, as the server defines it."""
        lines = [f"{pk}:{version}\n" for pk, (version, *_) in sorted(self.copy.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def copied(note: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a client keeps of a note."""
    return note["version"], note["title"], note["content"], note["category"]


@contextlib.contextmanager
def service(folder: Path, kind: str) -> Iterator[tuple[Server, Callable[[], None]]]:
    """Yield CloudNotes on a database of its own and what kills and restarts it.

    That is the server of the database, or of SQLite, which has none, the web service.
    """
    with contextlib.ExitStack() as stack:
        where = {"DATABASE_URL": ""}
        if kind == "postgresql":
            database = stack.enter_context(PostgreSQL(folder))
            where = {"DATABASE_URL": database.url}
        server = Server(
            folder,
            is_patient=False,
            **where,
            RATE_LIMITS="off",
            REQUEST_LOG="off",
            ACCESS_TOKEN_EXPIRE_MINUTES="600",
        )

        def restart() -> None:
            if kind == "postgresql":
                database.stop()
                database.start()
            else:
                server.kill()
                server.start(TIMEOUT_SECONDS)

        server.start()
        stack.callback(server.stop)
        yield server, restart


def run(
    server: Server,
    restart: Callable[[], None],
    *,
    changes: int,
    writers: int,
    clients: int,
    delay: float,
    how_often: float,
) -> Report:
    """Let writers make so many ``changes`` while clients follow, and return what came of it.

    A writer lingers up to ``delay`` seconds before so many of its commits (``how_often``, 0 to 1).
    """
    accounts = [Account(server) for _ in range(ACCOUNTS)]
    followers = [Follower(accounts[i % ACCOUNTS], i) for i in range(clients)]
    report, outcomes, finished = Report(), Outcomes(), threading.Event()
    processes = max(1, writers // THREADS)
    load = {
        "accounts": [account.id for account in accounts],
        "threads": min(writers, THREADS),
        "changes": -(-changes // (processes * min(writers, THREADS))),
        "delay": delay,
        "how_often": how_often,
        "rollbacks": ROLLBACKS,
        "mark": MARK,
        "seed": 1,
    }
    with ThreadPoolExecutor(processes + clients) as pool, server.log.open("ab") as log:
        following = [pool.submit(follower.follow, finished) for follower in followers]
        began = time.monotonic()
        started = [
            subprocess.Popen(
                [sys.executable, "-c", WRITERS, json.dumps({**load, "number": number})],
                cwd=ROOT,
                env={**server.environment, "DJANGO_SETTINGS_MODULE": "cloudnotes.settings"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            for number in range(processes)
        ]
        reading = [pool.submit(outcomes.read, process) for process in started]
        try:
            outcomes.wait_for(changes // 2)
            restart()
            report.restarts += 1
            for task in reading:
                task.result()
            report.seconds = time.monotonic() - began
        finally:
            for process in started:
                process.kill()  # if anything failed, or else they have ended
            finished.set()
        for task in following:
            task.result()
    _compare(report, followers)
    _audit(report, server, outcomes)
    return report


def _compare(report: Report, followers: list[Follower]) -> None:
    """Compare every client's copy with what the server lists."""
    for follower in followers:
        notes, name = follower.account.notes(), f"client {follower.number}"
        for pk in notes.keys() | follower.copy.keys():
            there, here = notes.get(pk), follower.copy.get(pk)
            if here is None or (there is not None and here[0] < there[0]):
                report.lost.append(f"{name} has {here} for note {pk}: {there}")
            elif here != there:
                report.phantom.append(f"{name} has {here} for note {pk}: {there}")
        told = follower.account.get(requests, "sync/digest").json()
        if (told["digest"], told["notes"]) != (follower.digest(), len(follower.copy)):
            report.disorder.append(f"{name} computes another digest")
        report.disorder += follower.disorder
        report.pages += follower.pages
        report.unavailable += follower.unavailable
        report.begun_anew += follower.begun_anew


def _audit(report: Report, server: Server, outcomes: Outcomes) -> None:
    """Look for every change in the database, and for every row there among the changes."""
    acknowledged, unknown = outcomes.of("acknowledged"), outcomes.of("unknown")
    rolled_back = outcomes.of("rolled back")
    report.acknowledged, report.unknown = len(acknowledged), len(unknown)
    report.rolled_back = len(rolled_back)
    report.failed.update(change["error"] for change in outcomes.of("failed"))
    states = {
        (note, version): (token, title, content)
        for note, version, token, title, content in [
            *server.rows("SELECT id, version, state_credential, title, content FROM notes_note"),
            *server.rows("SELECT note_id, version, credential, title, content FROM notes_revision"),
        ]
    }
    notes = {note for (note,) in server.rows("SELECT id FROM notes_note")}
    purged = {c["note"] for c in acknowledged if c["kind"] == "purge"}
    perhaps_purged = purged | {c["note"] for c in unknown if c["kind"] == "purge"}
    for change in acknowledged:
        if change["kind"] == "purge":
            is_there = change["note"] not in notes
        elif change["note"] in notes:
            is_there = states.get((change["note"], change["version"]), [""])[0] == change["token"]
        else:
            is_there = change["note"] in perhaps_purged
        if not is_there:
            report.lost.append(f"acknowledged and not there: {change}")
    tokens = {change["token"] for change in [*acknowledged, *unknown]}
    for (note, version), (token, title, content) in states.items():
        if token not in tokens or MARK in title or MARK in content:
            report.phantom.append(f"nobody wrote version {version} of note {note}: {token}")
    created = {c["note"] for c in acknowledged if c["kind"] == "create"}
    perhaps_created = created | {c["note"] for c in unknown if c["kind"] == "create"}
    in_feeds = {note for (note,) in server.rows("SELECT note_id FROM notes_change")}
    report.lost += [f"note {note} is in no feed" for note in created - in_feeds]
    report.phantom += [f"note {note} is in a feed" for note in in_feeds - perhaps_created]
    ((told,),) = server.rows("SELECT sum(seq) FROM notes_feed")
    if not len(acknowledged) <= told <= len(acknowledged) + len(unknown):
        report.disorder.append(f"the feeds counted {told} changes, not {len(acknowledged)}")
    report.disorder += chains.faults(server, with_gaps=False)


def main() -> int:
    """Run it as the command line says; 1 if anything was lost, invented or out of order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--clients", type=int, default=8)
    kinds = ["sqlite", "postgresql"] if BINARIES else ["sqlite"]
    parser.add_argument("--database", choices=kinds, default=kinds[-1])
    asked = parser.parse_args()
    how = DELAYS[asked.database]
    with (
        tempfile.TemporaryDirectory(prefix="cloudnotes-feed-") as folder,
        service(Path(folder), asked.database) as (server, restart),
    ):
        report = run(
            server,
            restart,
            changes=asked.changes,
            writers=asked.writers,
            clients=asked.clients,
            **how,
        )
    print(f"{'database':22}{asked.database}")
    print(f"{'delays':22}0 to {how['delay'] * 1000:g} ms before {how['how_often']:.0%} of commits")
    print(report.table())
    return 1 if report.lost or report.phantom or report.disorder else 0


if __name__ == "__main__":
    sys.exit(main())
