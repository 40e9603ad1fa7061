"""What files cost, and what becomes of them when something dies: ``python -m benchmarks.files``.

Three parts, all of them with a real S3 server (``rclone serve s3``):

- ``kills``: clients add, replace, remove and send files while random web processes are killed all
  the time. In the end every file is compared with what its client knows of it.
- ``throughput``: a large file through CloudNotes and straight to S3, in turn, by the same client;
  and what memory CloudNotes takes meanwhile.
- ``faults``: what requests to notes take while S3 refuses, hangs or fails, and uploads are tried.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.files.faults import measure_faults
from benchmarks.files.kills import measure_kills
from benchmarks.files.parts import MIB, Part
from benchmarks.files.throughput import measure_throughput
from benchmarks.throughput import RESULTS, tell
from tests.deploy.postgresql import BINARIES, PostgreSQL

PARTS = ["kills", "throughput", "faults"]


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
