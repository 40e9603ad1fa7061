"""What processes cost, read from ``/proc``."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
IDLE_SHARE = 0.05  # of one core
LOOKED_EVERY_SECONDS = 0.2
TIMEOUT_SECONDS = 60


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and not outlived."""
    with contextlib.suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def processor_seconds(pid: int) -> float:
    """Return what a process and all below it have used so far, those that have ended too.

    What has ended is counted by its parent; so parents are read last, and nothing gets lost.
    """
    below = sum(processor_seconds(child) for child in children(pid))
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # utime, stime, cutime and cstime (proc(5), fields 14 to 17)
        return below + sum(int(field) for field in fields[11:15]) / TICKS_A_SECOND
    return below


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes), 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def postmaster(url: str) -> int:
    """Return the id of the process that all processes of a PostgreSQL on this machine are below."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row
        status = Path(f"/proc/{row[0]}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


def settle(*used: Callable[[], float]) -> None:
    """Return when processes have done what they still had to, or after a minute.

    ``used`` tell the processor seconds of each so far.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        before = [each() for each in used]
        time.sleep(LOOKED_EVERY_SECONDS)
        now = [each() for each in used]
        if sum(now) - sum(before) <= IDLE_SHARE * LOOKED_EVERY_SECONDS:
            return
