"""A large file through CloudNotes and straight to S3."""

import contextlib
import dataclasses
import hashlib
import random
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from benchmarks import processes
from benchmarks.files.parts import ANSWER_SECONDS, GIB, MIB, Account, Part, service, table
from benchmarks.report import Spread, Target
from benchmarks.throughput import tell
from tests.servers import S3Server, Server

LARGE = {"MAX_FILE_BYTES": str(8 * GIB), "MAX_ACCOUNT_BYTES": str(64 * GIB)}
PIECE_BYTES = MIB
LEAST_SHARE = 0.7  # of what S3 itself takes
MOST_MEMORY_MIB = 64
LOOKED_EVERY_SECONDS = 0.05
WARM_UP_UPLOADS = 20


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
