"""Makes load in Python: ``python -m benchmarks.generator ORDER``, where ORDER is in JSON.

:mod:`benchmarks.load` starts it where wrk is missing, and where a run is to end with the answer to
its last request or to keep a pace, neither of which wrk can. It prints its figures in JSON.
"""

import asyncio
import collections
import json
import math
import random
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

MARK = b"#" * 32  # becomes random digits, so that no two bodies are the same
END_OF_HEAD = b"\r\n\r\n"
GRACE_SECONDS = 30  # for what was asked before the end


class Connection(asyncio.Protocol):
    """A connection that is kept alive and asks one thing at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.received = b""
        self.asked_at = 0.0
        self.is_asking = False
        self.transport: Any = None  # uvloop's are no asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, since: float) -> None:
        """Send a request that is due since a time (seconds of the monotonic clock)."""
        self.asked_at, self.is_asking = since, True
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(END_OF_HEAD)
        if not end:
            return
        status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and status != 304:
                length = int(value)
            elif name.lower() == b"transfer-encoding":
                raise NotImplementedError("an answer in chunks")  # none of the services sends one
        if len(body) >= length:
            is_error = not (200 <= status < 300 or status == 304)
            if is_error and not self.load.errors:
                first = (head.partition(b"\r\n")[0] + b" " + body).decode(errors="replace")
                print(f"the first error: {first}", file=sys.stderr)
            self.load.bytes += len(self.received)
            self.received, self.is_asking = b"", False
            self.load.answered(self, is_error=is_error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.load.is_over:
            self.load.lost(self)


class Load:
    """What is asked and what comes back.

    Each connection asks again as soon as it is answered, or, with a ``rate`` (requests a second),
    when the next request is due. Latency counts from when a request was due, so that an answer that
    keeps others waiting shows. It ends after ``seconds``, or with the answer to the last of
    ``count`` requests.
    """

    def __init__(
        self, requests: list[bytes], *, seconds: float, count: int | None, rate: float | None
    ) -> None:
        self.requests = requests
        self.seconds, self.count, self.rate = seconds, count, rate
        self.latencies: list[float] = []
        self.errors = self.bytes = self.asked = 0
        self.is_over = False
        self.idle: collections.deque[Connection] = collections.deque()
        self.due: collections.deque[float] = collections.deque()
        self.connections: list[Connection] = []

    def request(self) -> bytes:
        """Return what to ask next."""
        self.asked += 1
        return fresh(random.choice(self.requests))

    def answered(self, connection: Connection, *, is_error: bool) -> None:
        """Take note of an answer and go on."""
        if self.is_over:
            return
        now = time.monotonic()
        self.latencies.append(now - connection.asked_at)
        self.errors += is_error
        if self.count is not None and len(self.latencies) >= self.count:
            self.finished.set()
        elif self.count is not None and self.asked >= self.count:
            pass  # the others are waiting for their last answers
        elif self.rate is None:
            connection.ask(now)
        elif self.due:
            connection.ask(self.due.popleft())
        else:
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that the server has closed; only idle ones may be."""
        if connection.is_asking:
            self.errors += 1
            self.finished.set()
        elif connection in self.idle:
            self.idle.remove(connection)

    async def run(self, host: str, port: int, connections: int) -> dict[str, float]:
        """Make the load and return its figures."""
        loop = asyncio.get_running_loop()
        self.finished = asyncio.Event()
        for _ in range(connections):
            _, made = await loop.create_connection(lambda: Connection(self), host, port)
            self.connections.append(made)
        began = time.monotonic()
        pace = None
        if self.rate is None:
            for connection in self.connections[: self.count]:
                connection.ask(began)
        else:
            self.idle.extend(self.connections)
            pace = asyncio.create_task(self._keep_pace(began, self.rate))
        limit = self.seconds if self.count is None else self.seconds + GRACE_SECONDS
        try:
            await asyncio.wait_for(self.finished.wait(), limit)
        except TimeoutError:
            if self.count is not None:
                self.errors += self.count - len(self.latencies)
        seconds = time.monotonic() - began
        if pace:
            pace.cancel()
            # What was due and not answered has waited at least until now.
            waiting = [each.asked_at for each in self.connections if each.is_asking]
            self.latencies += [time.monotonic() - since for since in [*self.due, *waiting]]
        self.is_over = True
        for connection in self.connections:
            connection.transport.abort()
        return self._figures(seconds)

    async def _keep_pace(self, began: float, rate: float) -> None:
        number = 0
        while True:
            while (due := began + number / rate) <= time.monotonic():
                number += 1
                if self.idle:
                    self.idle.popleft().ask(due)
                else:
                    self.due.append(due)
            await asyncio.sleep(due - time.monotonic())

    def _figures(self, seconds: float) -> dict[str, float]:
        ordered = sorted(self.latencies) or [0.0]
        return {
            "requests": len(self.latencies),
            "seconds": seconds,
            "errors": self.errors,
            "bytes": self.bytes,
            "p50_ms": 1000 * percentile(ordered, 50),
            "p99_ms": 1000 * percentile(ordered, 99),
            "max_ms": 1000 * ordered[-1],
        }


def fresh(request: bytes) -> bytes:
    """Return a request whose body nobody has sent before."""
    return request.replace(MARK, secrets.token_hex(16).encode(), 1)


def percentile(ordered: list[float], percent: float) -> float:
    """Return the value that ``percent`` of the ascending values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def main() -> None:
    """Make the load that the command line orders."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    requests = Path(order["requests"]).read_bytes().split(b"\0")
    load = Load(requests, seconds=order["seconds"], count=order["count"], rate=order["rate"])
    print(json.dumps(uvloop.run(load.run(order["host"], order["port"], order["connections"]))))


if __name__ == "__main__":
    main()
