"""Files while web processes are killed."""

import random
import time

from benchmarks.files.parts import Part, service, table
from benchmarks.report import Target
from benchmarks.throughput import tell
from tests.notes.live import file_writers
from tests.notes.live.file_writers import Load

# A process that is started from a loaded one is there at once: they die too quickly to load anew.
QUICKLY = {"GUNICORN_CMD_ARGS": "--preload", "WEB_CONCURRENCY": "4"}
BETWEEN_KILLS_SECONDS = (0.1, 0.3)
BURST = 10  # kills, after which those who write may catch up: else little gets through


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
