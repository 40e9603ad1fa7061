"""What a benchmark ran on, to be told with its figures."""

import datetime as dt
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psycopg

from benchmarks.contenders import BASELINE_PYTHON

OURS = ("Django", "djangorestframework", "psycopg", "uvicorn", "gunicorn")
THEIRS = ("fastapi", "SQLAlchemy", "asyncpg", "uvicorn", "pydantic", "orjson")
VERSIONS = (
    "import sys\n"
    "from importlib import metadata\n"
    "print(', '.join(f'{name} {metadata.version(name)}' for name in sys.argv[1:]))"
)


def describe(database_url: str, *, with_baselines: bool = False) -> dict[str, str | int]:
    """Return the date, versions and size of the machine, and how busy it was before."""
    with psycopg.connect(database_url) as connection:
        version = str(connection.execute("SHOW server_version").fetchone()[0])
    memory = _field("/proc/meminfo", "MemTotal").split()[0]
    about: dict[str, str | int] = {
        "Date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "Cores used": len(os.sched_getaffinity(0)),
        "Memory": f"{int(memory) / 2**20:.1f} GiB",
        "Load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": platform.python_version(),
        "PostgreSQL": version,
        "CloudNotes on": ", ".join(f"{name} {metadata.version(name)}" for name in OURS),
    }
    if with_baselines:
        command = [BASELINE_PYTHON, "-c", VERSIONS, *THEIRS]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        about["Baselines on"] = told.stdout.strip()
    return about


def _field(path: str, name: str) -> str:
    """Return the first value of a name in a file of lines ``name: value``."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
