"""Where a request spends its time: ``python -m benchmarks.profiling`` (``make profile``).

CloudNotes is put under load while py-spy looks at both of its workers 100 times a second: of one it
draws a flame graph, of the other it tells the functions that use most of the interpreter's time.
Waiting, for the database or for work, is in neither.
"""

import argparse
import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import load, processes
from benchmarks.concurrency import service
from benchmarks.contenders import BASELINE_PYTHON
from benchmarks.operations import OPERATIONS, check
from benchmarks.throughput import RESULTS, tell

PY_SPY = BASELINE_PYTHON.parent / "py-spy"
WARM_UP_SECONDS = 1
TIMEOUT_SECONDS = 60
TOLD = 60  # functions


def record(pid: int, output: Path, form: str, seconds: int) -> "subprocess.Popen[bytes]":
    """Start to look at a process; ``form`` is one of py-spy's formats."""
    command = [PY_SPY, "record", f"--pid={pid}", f"--duration={seconds}", f"--format={form}"]
    command += [f"--output={output}", "--gil"]  # not who waits
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def shares(stacks: str) -> list[tuple[float, float, str]]:
    """Return of each function its share of the time with and without what it calls.

    ``stacks`` are in py-spy's raw format: functions from the outermost to the innermost, separated
    by semicolons, and how often they were seen. The largest shares come first.
    """
    within: collections.Counter[str] = collections.Counter()
    alone: collections.Counter[str] = collections.Counter()
    for line in stacks.splitlines():
        stack, _, seen = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] + ")" for frame in stack.split(";")]  # without the line
        for frame in set(frames):
            within[frame] += int(seen)
        alone[frames[-1]] += int(seen)
    total = sum(alone.values()) or 1
    return [(seen / total, alone[frame] / total, frame) for frame, seen in within.most_common()]


def main() -> int:
    """Profile as the command line says; 1 if py-spy or a request failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operation", choices=list(OPERATIONS), default="list")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the flame graph")
    asked = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        print("Say where PostgreSQL is: make durable-services, then . .services/durable")
        return 2
    asked.output.mkdir(parents=True, exist_ok=True)
    flames = asked.output / "profile.svg"
    with service("cloudnotes-profile-") as server, tempfile.NamedTemporaryFile() as raw:
        operation = OPERATIONS[asked.operation]
        requests = list(operation.requests(server, [1]))
        check(operation, server, requests[0])
        how = {"connections": asked.connections}
        load.run(server.port, requests, seconds=WARM_UP_SECONDS, **how)
        drawn, told = processes.children(server.pid)
        tell(f"looking at {asked.operation} for {asked.seconds} s ...")
        looking = [
            record(drawn, flames, "flamegraph", asked.seconds),
            record(told, Path(raw.name), "raw", asked.seconds),
        ]
        made = load.run(server.port, requests, seconds=asked.seconds, **how)
        failed = [each.wait(timeout=TIMEOUT_SECONDS) for each in looking]
        stacks = Path(raw.name).read_text()
    if any(failed) or made.errors:
        print(f"py-spy ended with {failed}, {made.errors} requests failed")
        return 1
    print("with what it calls | alone | function")
    for within, alone, function in shares(stacks)[:TOLD]:
        print(f"{within:8.1%} {alone:8.1%}  {function}")
    print(f"{made.rate:.0f} requests a second; the flame graph is {flames}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
