"""Load on a server of this machine: connections that ask again as soon as they are answered."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from tests.servers import ROOT

SCRIPT = ROOT / "benchmarks" / "wrk" / "replay.lua"
ANSWER_SECONDS = 30  # after which wrk counts a request as an error
TIMEOUT_SECONDS = 90  # beyond the run's own time, until its process is killed


@dataclasses.dataclass(frozen=True)
class Load:
    """What came of a run.

    ``errors`` are lost connections, requests without an answer in time and answers that are neither
    2xx nor 304. ``bytes`` are those of all answers with their heads. Latencies are in milliseconds;
    those of wrk are corrected for what it could not ask while it waited.
    """

    requests: int
    seconds: float
    errors: int
    bytes: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def answered(self) -> int:
        """Good answers; wrk's errors may be of requests that it does not count."""
        return max(0, self.requests - self.errors)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.answered / self.seconds


@functools.cache
def has_wrk() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def generator() -> str:
    """Return the name of what makes the load, with its version."""
    if not has_wrk():
        return "Python (wrk is not installed)"
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(told.split()[:2])


def run(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: int,
    count: int | None = None,
    rate: float | None = None,
) -> Load:
    """Ask the server on ``port`` for ``seconds`` and return what came of it.

    ``requests`` are whole HTTP requests that are chosen from at random. With a ``count`` the run
    ends with the answer to the last of so many instead, with a ``rate`` (requests a second) it
    keeps that pace; both are made in Python. Raises subprocess.TimeoutExpired when a run does not
    end, and CalledProcessError when it fails.
    """
    with tempfile.NamedTemporaryFile(prefix="cloudnotes-requests-") as file:
        file.write(b"\0".join(requests))
        file.flush()
        if has_wrk() and count is None and rate is None:
            return _by_wrk(port, file.name, connections, seconds)
        order = {
            "host": "127.0.0.1",
            "port": port,
            "requests": file.name,
            "connections": connections,
            "seconds": seconds,
            "count": count,
            "rate": rate,
        }
        command = [sys.executable, "-m", "benchmarks.generator", json.dumps(order)]
        return Load(**json.loads(_output(command, seconds, {})))


def _by_wrk(port: int, requests: str, connections: int, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={ANSWER_SECONDS}s"]
    command += ["--latency", f"-s{SCRIPT}", f"http://127.0.0.1:{port}/"]
    output = _output(command, seconds, {"REQUESTS": requests})
    figures = next(line for line in output.splitlines() if line.startswith("LOAD "))
    return Load(**json.loads(figures.removeprefix("LOAD ")))


def _output(command: list[str], seconds: int, environment: dict[str, str]) -> str:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=seconds + TIMEOUT_SECONDS,
    ).stdout
