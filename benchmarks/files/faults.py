"""What requests to notes take while S3 refuses, hangs or fails."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import requests

from benchmarks.files.parts import MIB, Account, Part, service, table
from benchmarks.report import Target, short
from benchmarks.throughput import tell
from tests.s3proxy import State

FAULTS = [state for state in State if state is not State.HEALTHY]
MOST_SLOWER = 1.2
MOST_REFUSAL_SECONDS = MOST_RECOVERY_SECONDS = 10.0
WARM_UP_SECONDS = 15.0
LONGEST_BACKLOG_SECONDS = 20.0  # after which what was due is not asked any more
NOTES_CLIENTS, NOTES_PAUSE_SECONDS = 4, 0.1
# Bytes of an upload, and the pause after it.
UPLOADS = {"1 KiB": (2**10, 0.5), "20 MiB": (20 * MIB, 2.0)}
# Sent to S3 by more clients than all web processes have threads: these are not to hold up notes.
DIRECT, DIRECT_CLIENTS, DIRECT_PAUSE_SECONDS = "direct", 16, 4.0
QUIET = "healthy, no uploads"
KINDS = [*UPLOADS, DIRECT]


@dataclasses.dataclass(frozen=True)
class Request:
    """A request and what came of it; ``at`` is when it was sent, in seconds of a clock."""

    kind: str
    at: float
    milliseconds: float
    status: int


def timed(
    kind: str, ask: Callable[[], requests.Response], due: float | None = None
) -> tuple[Request, requests.Response]:
    """Return what came of a request, timed from when it was due, and the answer."""
    began = time.perf_counter() if due is None else due
    answer = ask()
    return Request(kind, began, 1000 * (time.perf_counter() - began), answer.status_code), answer


def use_notes(account: Account, seconds: float) -> list[Request]:
    """Create, read, list and update notes on one connection, at a pace that waits for nothing.

    Each is timed from when it was due, so whoever is held up is counted with all that he missed.
    """
    found, chosen, note = list[Request](), random.Random(), account.note
    due = time.perf_counter()
    deadline = due + seconds
    requests_of = {
        "create": lambda: ("POST", "notes", {"title": "new", "content": "word " * 100}),
        "read": lambda: ("GET", f"notes/{note}", None),
        "list": lambda: ("GET", "notes", None),
        "update": lambda: ("PUT", f"notes/{note}", {"title": "newer", "content": "word " * 110}),
    }
    with requests.Session() as client:
        for kind in itertools.cycle(requests_of):
            due += chosen.expovariate(1 / NOTES_PAUSE_SECONDS)
            if due > deadline or time.perf_counter() > deadline + LONGEST_BACKLOG_SECONDS:
                return found
            time.sleep(max(0.0, due - time.perf_counter()))
            method, path, body = requests_of[kind]()
            asked, answer = timed(
                kind, functools.partial(account.ask, client, method, path, json=body), due
            )
            found.append(asked)
            if answer.status_code == 201:
                note = answer.json()["id"]
    raise AssertionError  # a cycle does not end


def use_notes_at_once(accounts: Sequence[Account], seconds: float) -> list[Request]:
    """Let a client of each account use its notes; all of it in a process of its own."""
    with ThreadPoolExecutor(len(accounts)) as pool:
        tasks = [pool.submit(use_notes, account, seconds) for account in accounts]
        return [asked for task in tasks for asked in task.result()]


class Uploader:
    """Tries uploads, at a pace, until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.changed, self.done = threading.Condition(), list[Request]()

    def take(self, since: float) -> list[Request]:
        """Return what came of the uploads begun since then, of each kind at least one."""
        with self.changed:
            self.changed.wait_for(
                lambda: {asked.kind for asked in self.done if asked.at > since} == {*KINDS},
                timeout=2 * MOST_REFUSAL_SECONDS,
            )
            done, self.done = self.done, []
        return [asked for asked in done if asked.at > since]

    def keep(self, asked: Request) -> None:
        """Remember what came of an upload."""
        with self.changed:
            self.done.append(asked)
            self.changed.notify_all()

    def upload(self, kind: str, account: Account) -> Request:
        """Upload a file once; it is removed again."""
        size, _ = UPLOADS[kind]
        path = f"notes/{account.note}/attachments"
        files = {"file": ("f", b"x" * size)}
        asked, answer = timed(kind, lambda: account.ask(requests, "POST", path, files=files))
        if answer.status_code == 201:
            account.ask(requests, "DELETE", f"{path}/{answer.json()['id']}")
        return asked

    def go_on(self, account: Account, kind: str) -> None:
        """Upload through CloudNotes."""
        while not self.stopped.wait(UPLOADS[kind][1]):
            self.keep(self.upload(kind, account))

    def go_on_directly(self, account: Account) -> None:
        """Send a file to S3 and have CloudNotes look at it."""
        body, upload, is_again = b"direct", dict[str, Any](), False
        path = f"notes/{account.note}/attachments"
        told = {"name": "d", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        while not self.stopped.wait(random.uniform(0.5, 1.5) * DIRECT_PAUSE_SECONDS):
            if not upload:
                asked, answer = timed(
                    DIRECT, lambda: account.ask(requests, "POST", f"{path}/uploads", json=told)
                )
                if answer.status_code != 201:
                    self.keep(asked)
                    continue
                upload = answer.json()
            with contextlib.suppress(requests.RequestException):
                requests.put(upload["url"], data=body, headers=upload["headers"], timeout=1)
            complete = f"{path}/uploads/{upload['id']}/complete"
            asked, answer = timed(DIRECT, lambda: account.ask(requests, "POST", complete))  # noqa: B023 - called at once
            if answer.status_code == 200:
                account.ask(requests, "DELETE", f"{path}/{answer.json()['attachment']['id']}")
            # 409: it did not get to S3. Who asks again may hear that it was done before.
            if answer.status_code == 503 or (answer.status_code == 200 and not is_again):
                self.keep(asked)
            is_again = answer.status_code == 503
            if not is_again:
                upload = {}


@dataclasses.dataclass
class Period:
    """Some seconds with S3 in one state; ``recovery`` is of the first uploads after a fault."""

    state: str
    notes: list[Request]
    uploads: list[Request]
    recovery: list[Request] = dataclasses.field(default_factory=list)
    recovery_seconds: float = 0.0


@contextlib.contextmanager
def uploading(accounts: Sequence[Account]) -> Iterator[Uploader]:
    """Yield who uploads all the time, with an account for each kind and the direct ones."""
    uploader = Uploader()
    through, direct = accounts[: len(UPLOADS)], accounts[len(UPLOADS) :]
    with ThreadPoolExecutor(len(accounts)) as pool:
        tasks = [
            pool.submit(uploader.go_on, account, kind)
            for account, kind in zip(through, UPLOADS, strict=True)
        ]
        tasks += [pool.submit(uploader.go_on_directly, account) for account in direct]
        try:
            yield uploader
        finally:
            uploader.stopped.set()
        for task in tasks:
            task.result()


def measure_faults(database_url: str, *, seconds: float, rounds: int) -> Part:
    """Measure each state for so many ``seconds``, healthy ones in between, ``rounds`` times."""
    context, periods = multiprocessing.get_context("spawn"), list[Period]()
    with (
        service(database_url, PROXY="yes") as (server, _, _, proxy),
        ProcessPoolExecutor(1, mp_context=context) as pool,
    ):
        accounts, spare = [Account(server) for _ in range(NOTES_CLIENTS)], Account(server)
        uploaders = [Account(server) for _ in range(len(UPLOADS) + DIRECT_CLIENTS)]

        def measure(state: str, uploader: Uploader | None = None) -> Period:
            began = time.perf_counter()
            made = pool.submit(use_notes_at_once, accounts, seconds).result()
            period = Period(state, made, uploader.take(began) if uploader else [])
            periods.append(period)
            tell(f"{state:20} p95 {p95(made):.1f} ms, {len(period.uploads)} uploads")
            return period

        with uploading(uploaders):  # every thread is to have met S3
            pool.submit(use_notes_at_once, accounts, WARM_UP_SECONDS).result()
        for _ in range(rounds):
            measure(QUIET)
            with uploading(uploaders) as uploader:
                for fault in FAULTS:
                    measure(State.HEALTHY.value, uploader)
                    proxy.become(fault)
                    period = measure(fault.value, uploader)
                    proxy.become(State.HEALTHY)
                    began = time.perf_counter()
                    period.recovery = [uploader.upload(kind, spare) for kind in UPLOADS]
                    period.recovery_seconds = time.perf_counter() - began
    raw = [dataclasses.asdict(period) for period in periods]
    return Part("Notes while S3 fails", *faults_told(periods), raw)


def faults_told(periods: Sequence[Period]) -> tuple[list[str], list[Target]]:
    """Return the table of the states and the targets."""
    pooled = {
        state: [period for period in periods if period.state == state]
        for state in dict.fromkeys(period.state for period in periods)
    }
    healthy, quiet = (
        p95([asked for period in pooled[state] for asked in period.notes])
        for state in (State.HEALTHY.value, QUIET)
    )
    rows, targets = [], []
    for state, some in pooled.items():
        notes = [asked for period in some for asked in period.notes]
        uploads = [asked for period in some for asked in period.uploads]
        recovery = [asked for period in some for asked in period.recovery]
        slower, errors = p95(notes) / healthy, sum(asked.status >= 300 for asked in notes)
        refusals = [asked for asked in uploads if asked.status == 503]
        longest = max((asked.milliseconds / 1000 for asked in uploads), default=0.0)
        statuses = collections.Counter(f"{each.kind}: {each.status}" for each in uploads)
        recovered = max(period.recovery_seconds for period in some)
        kinds = [
            p95([a for a in notes if a.kind == kind])
            for kind in ("create", "read", "list", "update")
        ]
        rows.append(
            [
                state, len(notes), errors, short(p95(notes)), *map(short, kinds), f"{slower:.2f} x",
                f"{p95(notes) / quiet:.2f} x",
                ", ".join(f"{name} ({number})" for name, number in sorted(statuses.items())),
                f"{longest:.1f} s", f"{recovered:.1f} s" if recovery else "",
            ]
        )  # fmt: skip
        if not recovery:
            continue
        is_refused = bool(refusals) and len(refusals) == len(uploads)
        targets += [
            Target(f"S3 {state}: p95 of notes at most {MOST_SLOWER:g} x healthy, no errors",
                   f"{slower:.2f} x, {errors} errors", slower <= MOST_SLOWER and not errors),
            Target(f"S3 {state}: uploads answered 503 within {MOST_REFUSAL_SECONDS:g} s",
                   f"{len(refusals)} of {len(uploads)}, {longest:.1f} s",
                   is_refused and longest <= MOST_REFUSAL_SECONDS),
            Target(f"S3 {state}: the next upload after it works within {MOST_RECOVERY_SECONDS:g} s",
                   f"{recovered:.1f} s, {sorted({asked.status for asked in recovery})}",
                   {asked.status for asked in recovery} == {201}
                   and recovered <= MOST_RECOVERY_SECONDS),
        ]  # fmt: skip
    columns = ["S3", "requests", "errors", "p95 ms", "create", "read", "list", "update"]
    columns += ["to healthy", "to no uploads", "uploads", "longest", "next ones"]
    return table(columns, rows), targets


def p95(asked: Sequence[Request]) -> float:
    """Return the 95th percentile in milliseconds."""
    return statistics.quantiles([each.milliseconds for each in asked], n=100)[94]
