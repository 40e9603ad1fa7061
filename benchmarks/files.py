"""What files cost, and what becomes of them when something dies: ``python -m benchmarks.files``.

Three parts, all of them with a real S3 server (``rclone serve s3``):

- ``kills``: clients add, replace, remove and send files while random web processes are killed all
  the time. In the end every file is compared with what its client knows of it.
- ``throughput``: a large file through CloudNotes and straight to S3, in turn, by the same client;
  and what memory CloudNotes takes meanwhile.
- ``faults``: what requests to notes take while S3 refuses, hangs or fails, and uploads are tried.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import random
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from benchmarks import machine, processes
from benchmarks.report import WORDS, Spread, Target, short
from benchmarks.throughput import RESULTS, tell
from tests.deploy.postgresql import BINARIES, PostgreSQL
from tests.notes import file_writers
from tests.notes.file_writers import Load, new_account
from tests.s3proxy import S3Proxy, State
from tests.servers import S3Server, Server

PARTS = ["kills", "throughput", "faults"]
MIB, GIB = 2**20, 2**30
SETTINGS = {
    **file_writers.SETTINGS,
    "PYTHONWARNINGS": "",
    "REQUEST_LOG": "off",
    "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
}
# A process that is started from a loaded one is there at once: they die too quickly to load anew.
QUICKLY = {"GUNICORN_CMD_ARGS": "--preload", "WEB_CONCURRENCY": "4"}
BETWEEN_KILLS_SECONDS = (0.1, 0.3)
BURST = 10  # kills, after which those who write may catch up: else little gets through
LARGE = {"MAX_FILE_BYTES": str(8 * GIB), "MAX_ACCOUNT_BYTES": str(64 * GIB)}
PIECE_BYTES = MIB
LEAST_SHARE = 0.7  # of what S3 itself takes
MOST_MEMORY_MIB = 64
LOOKED_EVERY_SECONDS = 0.05
WARM_UP_UPLOADS = 20
ANSWER_SECONDS = 300
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


@dataclasses.dataclass
class Part:
    """What a part has found: a table for people, targets, and all figures."""

    title: str
    lines: list[str]
    targets: list[Target]
    raw: Any

    def markdown(self) -> str:
        """Return it for people."""
        lines = [f"## {self.title}", "", *self.lines, "", "| target | measured | met |"]
        lines += ["|---|---|---|"]
        lines += [
            f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in self.targets
        ]
        return "\n".join([*lines, ""])


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


@contextlib.contextmanager
def service(database_url: str, **settings: str) -> Iterator[tuple[Server, S3Server, str, S3Proxy]]:
    """Yield CloudNotes with a bucket on an S3 server, behind a proxy if ``PROXY`` is set."""
    with (
        tempfile.TemporaryDirectory(prefix="cloudnotes-files-") as made,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(made)
        (folder / "s3").mkdir()
        s3 = S3Server(folder / "s3")
        s3.start()
        stack.callback(s3.stop)
        bucket, proxy = s3.new_bucket(), S3Proxy(s3)
        proxy.start()
        stack.callback(proxy.stop)
        where = proxy if settings.pop("PROXY", "") else s3
        environment = proxy.environment(s3, bucket) if where is proxy else s3.environment(bucket)
        server = Server(folder, DATABASE_URL=database_url, **environment, **SETTINGS | settings)
        server.start()
        stack.callback(server.stop)
        yield server, s3, bucket, proxy


# Kills.


def measure_kills(database_url: str, *, operations: int, clients: int, kills: int) -> Part:
    """Let clients change files until so many operations and kills were made, and look at all.

    The kills come in bursts that are spread over the operations.
    """
    with service(database_url, **QUICKLY) as (server, s3, bucket, _):
        load, began = Load(server), time.monotonic()

        with file_writers.clients(load, clients), file_writers.killer(server) as killing:
            while len(killing.killed) < kills or load.acknowledged < operations:
                time.sleep(random.uniform(*BETWEEN_KILLS_SECONDS))
                load.wait_for(0)  # raises what has failed
                killing.kill()
                if len(killing.killed) % BURST == 0:
                    load.wait_for(min(operations, operations * len(killing.killed) // kills))
                    tell(f"{len(killing.killed)} kills, {load.acknowledged} acknowledged")
        seconds = time.monotonic() - began
        file_writers.settle(server)
        found = file_writers.audit(load, s3, bucket)
        objects = len(s3.keys(bucket))
    figures = {
        "kills": len(killing.killed),
        "operations acknowledged": load.acknowledged,
        "requests sent again": load.retries,
        "lost": len(found.lost),
        "orphans": len(found.orphans),
        "wrong checksums": len(found.wrong),
        "contradictions": len(found.contradictions),
        "objects in the end": objects,
        "seconds": round(seconds, 1),
    }
    lines = table(list(figures), [[f"{value:,}" for value in figures.values()]])
    lines += [f"- {each}" for each in found.all()[:20]]
    targets = [
        Target(f"at least {kills:,} kills", f"{len(killing.killed):,}", is_met=True),
        Target("nothing lost, left or wrong", str(len(found.all())), not found.all()),
    ]
    return Part("Files while web processes are killed", lines, targets, figures | vars(found))


# Throughput.


class Stream:
    """The bytes of a file, made as they are sent; a form around them if there is a ``boundary``."""

    def __init__(self, size: int, seed: bytes, boundary: str = "") -> None:
        self.size, self.seed, self.head, self.tail = size, seed, b"", b""
        self.block = random.Random(seed).randbytes(PIECE_BYTES)
        if boundary:
            field = 'Content-Disposition: form-data; name="file"; filename="large"'
            self.head = f"--{boundary}\r\n{field}\r\n\r\n".encode()
            self.tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self.head) + self.size + len(self.tail)

    def __iter__(self) -> Iterator[bytes]:
        yield from filter(None, [self.head, *self.pieces(), self.tail])

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the file alone."""
        for start in range(0, self.size, PIECE_BYTES):
            yield self.block[: self.size - start]

    def sha256(self) -> str:
        """Return the checksum of the file alone, in hex."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Transfer:
    """One upload: its time, and the processor seconds that it cost."""

    way: str
    round: int
    seconds: float
    rate: float  # MiB/s
    client_seconds: float
    server_seconds: float
    s3_seconds: float

    def line(self) -> str:
        """Return it in a line for whoever waits."""
        return (
            f"{self.way:11}{self.rate:7.0f} MiB/s  CPU s: client {self.client_seconds:.1f}, "
            f"CloudNotes {self.server_seconds:.1f}, S3 {self.s3_seconds:.1f}"
        )


class Watch:
    """Samples the memory of gunicorn's processes in a thread of its own."""

    def __init__(self, server: Server) -> None:
        assert server.process is not None
        self.pid, self.most, self.stopping = server.process.pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def memory_mib(self) -> float:
        """Return what all of them have, with their part of what they share (Pss)."""
        return sum(map(proportional_mib, [self.pid, *processes.children(self.pid)]))

    def watch(self) -> None:
        """Remember the most until it is stopped."""
        while not self.stopping.wait(LOOKED_EVERY_SECONDS):
            self.most = max(self.most, self.memory_mib())

    def __enter__(self) -> "Watch":
        self.most = self.memory_mib()
        self.thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stopping.set()
        self.thread.join()


def proportional_mib(pid: int) -> float:
    """Return the memory of a process with its part of what it shares, 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 2**10
    return 0.0


def measure_throughput(database_url: str, *, size: int, rounds: int) -> Part:
    """Send a file of ``size`` bytes so many times each way, in turn."""
    with service(database_url, **LARGE) as (server, s3, bucket, _):
        assert server.process
        assert s3.process
        pids = [server.process.pid, s3.process.pid]
        account, transfers = Account(server), list[Transfer]()
        cold = Watch(server).memory_mib()
        for _ in range(WARM_UP_UPLOADS):  # every process is to have had one
            through_cloudnotes(account, s3, bucket, MIB)
        idle = Watch(server).memory_mib()
        with Watch(server) as watch:  # looking costs time, so this upload is not timed
            through_cloudnotes(account, s3, bucket, size)
        for number in range(rounds):
            ways = [through_cloudnotes, straight_to_s3]
            for way in ways if number % 2 == 0 else ways[::-1]:
                processes.settle(lambda: sum(map(processes.processor_seconds, pids)))
                before = [processes.processor_seconds(pid) for pid in pids]
                name, seconds, client_seconds = way(account, s3, bucket, size)
                after = [processes.processor_seconds(pid) for pid in pids]
                used = [end - start for start, end in zip(before, after, strict=True)]
                rate = size / MIB / seconds
                transfers.append(Transfer(name, number, seconds, rate, client_seconds, *used))
                tell(transfers[-1].line())
    ours, theirs = ([each for each in transfers if each.way == way] for way in ("ours", "direct"))
    paired = [mine.rate / other.rate for mine, other in zip(ours, theirs, strict=True)]
    median = statistics.median(t.rate for t in ours) / statistics.median(t.rate for t in theirs)
    share = Spread(median, min(paired), max(paired))
    memory = watch.most - idle
    columns = ["way", "MiB/s", "CPU s of the client", "of CloudNotes", "of the S3 server"]
    rows = [
        [
            {"ours": "through CloudNotes", "direct": "straight to S3"}[some[0].way],
            *(
                Spread.of([getattr(each, name) for each in some]).told()
                for name in ("rate", "client_seconds", "server_seconds", "s3_seconds")
            ),
        ]
        for some in (ours, theirs)
    ]
    lines = [
        f"{size / MIB:,.0f} MiB, {rounds} times each way in turn. All web processes have "
        f"{cold:.0f} MiB when they have just started, {idle:.0f} MiB when they have stored "
        f"something, and at most {watch.most:.0f} MiB during an upload.",
        "",
    ]
    targets = [
        Target(
            f"at least {LEAST_SHARE:g} of what S3 itself takes", share.told(),
            share.median >= LEAST_SHARE,
        ),
        Target(
            f"at most {MOST_MEMORY_MIB} MiB above idle, all web processes",
            f"{memory:.0f} MiB", memory <= MOST_MEMORY_MIB,
        ),
    ]  # fmt: skip
    raw = {
        "cold_mib": cold,
        "idle_mib": idle,
        "most_mib": watch.most,
        "transfers": [dataclasses.asdict(each) for each in transfers],
    }
    return Part("A large file", lines + table(columns, rows), targets, raw)


def through_cloudnotes(
    account: "Account", s3: S3Server, bucket: str, size: int
) -> tuple[str, float, float]:
    """Send a form; return the way's name, the seconds until it was answered and the client's."""
    boundary = secrets.token_hex(16)
    stream = Stream(size, secrets.token_bytes(8), boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    path = f"notes/{account.note}/attachments"
    answer, *seconds = clocked(
        lambda: account.ask(requests, "POST", path, data=stream, headers=headers)
    )
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["size"], told["sha256"]) == (size, stream.sha256())
    account.ask(
        requests, "DELETE", f"{path}/{told['id']}", params={"permanent": "true"}
    ).raise_for_status()
    return "ours", *seconds


def straight_to_s3(
    account: "Account", s3: S3Server, bucket: str, size: int
) -> tuple[str, float, float]:
    """Send the bytes to a signed address; return as :func:`through_cloudnotes`."""
    at = {"Bucket": bucket, "Key": secrets.token_hex(8)}
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        aws_access_key_id=s3.key,
        aws_secret_access_key=s3.secret,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url("put_object", Params=at)
    stream = Stream(size, secrets.token_bytes(8))
    answer, *seconds = clocked(lambda: requests.put(url, data=stream, timeout=ANSWER_SECONDS))
    assert answer.status_code == 200, answer.text
    assert client.head_object(**at)["ContentLength"] == size
    client.delete_object(**at)
    return "direct", *seconds


def clocked(send: Callable[[], requests.Response]) -> tuple[requests.Response, float, float]:
    """Return an answer, the seconds until it came, and how many of a processor this took here."""
    began, used = time.perf_counter(), time.process_time()
    answer = send()
    return answer, time.perf_counter() - began, time.process_time() - used


# Faults.


class Account:
    """An account on a server, with a note, and what a client of it asks."""

    def __init__(self, server: Server) -> None:
        self.api = server.api
        self.headers = {"Authorization": f"Bearer {new_account(server)}"}
        self.note = self.ask(requests, "POST", "notes", json={"title": "t"}).json()["id"]

    def ask(self, client: Any, method: str, path: str, **options: Any) -> requests.Response:
        """Return an answer, whatever it is. Raises requests' errors."""
        headers = self.headers | options.pop("headers", {})
        answer: requests.Response = client.request(
            method, f"{self.api}/{path}", headers=headers, timeout=ANSWER_SECONDS, **options
        )
        return answer


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request and what came of it; ``at`` is when it was sent, in seconds of a clock."""

    kind: str
    at: float
    milliseconds: float
    status: int


def timed(
    kind: str, ask: Callable[[], requests.Response], due: float | None = None
) -> tuple[Asked, requests.Response]:
    """Return what came of a request, timed from when it was due, and the answer."""
    began = time.perf_counter() if due is None else due
    answer = ask()
    return Asked(kind, began, 1000 * (time.perf_counter() - began), answer.status_code), answer


def use_notes(account: Account, seconds: float) -> list[Asked]:
    """Create, read, list and update notes on one connection, at a pace that waits for nothing.

    Each is timed from when it was due, so whoever is held up is counted with all that he missed.
    """
    found, chosen, note = list[Asked](), random.Random(), account.note
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


def use_notes_at_once(accounts: Sequence[Account], seconds: float) -> list[Asked]:
    """Let a client of each account use its notes; all of it in a process of its own."""
    with ThreadPoolExecutor(len(accounts)) as pool:
        tasks = [pool.submit(use_notes, account, seconds) for account in accounts]
        return [asked for task in tasks for asked in task.result()]


class Uploader:
    """Tries uploads, at a pace, until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.changed, self.done = threading.Condition(), list[Asked]()

    def take(self, since: float) -> list[Asked]:
        """Return what came of the uploads begun since then, of each kind at least one."""
        with self.changed:
            self.changed.wait_for(
                lambda: {asked.kind for asked in self.done if asked.at > since} == {*KINDS},
                timeout=2 * MOST_REFUSAL_SECONDS,
            )
            done, self.done = self.done, []
        return [asked for asked in done if asked.at > since]

    def keep(self, asked: Asked) -> None:
        """Remember what came of an upload."""
        with self.changed:
            self.done.append(asked)
            self.changed.notify_all()

    def upload(self, kind: str, account: Account) -> Asked:
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
    notes: list[Asked]
    uploads: list[Asked]
    recovery: list[Asked] = dataclasses.field(default_factory=list)
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


def p95(asked: Sequence[Asked]) -> float:
    """Return the 95th percentile in milliseconds."""
    return statistics.quantiles([each.milliseconds for each in asked], n=100)[94]


@contextlib.contextmanager
def database(kind: str) -> Iterator[str]:
    """Yield the address of a new database of a kind; of SQLite it is empty."""
    with tempfile.TemporaryDirectory(prefix="cloudnotes-files-") as folder:
        if kind == "sqlite":
            yield ""
            return
        with PostgreSQL(Path(folder)) as postgresql:
            yield postgresql.url


def main() -> int:
    """Run the parts that the command line names; 1 if a target is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=PARTS, metavar="part",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--operations", type=int, default=5000, help="of kills")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--clients", type=int, default=10, help="of kills")
    parser.add_argument("--size", type=int, default=1024, help="of throughput, in MiB")
    parser.add_argument("--seconds", type=float, default=20, help="of each state of S3")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput and faults")
    kinds = ["sqlite", "postgresql"] if BINARIES else ["sqlite"]
    parser.add_argument("--database", choices=kinds, default=kinds[-1])
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the report")
    asked = parser.parse_args()
    measures: dict[str, Callable[[str], Part]] = {
        "kills": lambda url: measure_kills(
            url, operations=asked.operations, clients=asked.clients, kills=asked.kills
        ),
        "throughput": lambda url: measure_throughput(
            url, size=asked.size * MIB, rounds=asked.rounds
        ),
        "faults": lambda url: measure_faults(url, seconds=asked.seconds, rounds=asked.rounds),
    }
    parts, about = {}, dict[str, Any]()
    for name in asked.parts:
        with database(asked.database) as url:
            about = about or (machine.describe(url) if url else {"Database": "SQLite"})
            parts[name] = measures[name](url)
        tell(parts[name].markdown())
    lines = ["# Files", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    text = "\n".join([*lines, *(part.markdown() for part in parts.values())])
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "files.md").write_text(text)
    raw = {"about": about} | {name: part.raw for name, part in parts.items()}
    (asked.output / "files.json").write_text(json.dumps(raw, indent=1))
    print(text)
    return 0 if all(each.is_met for part in parts.values() for each in part.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
