"""The environment of the test run, set before Django reads its settings (a pytest plugin).

Two variables come from outside: DATABASE_URL and REDIS_URL, which choose the leg. Everything else
is set here, so that nothing of the machine or of a developer's .env reaches the tests. Each process
of pytest-xdist has a data folder and a Redis database of its own; the folder ``RUN_DIR`` is one for
all processes of a run.
"""

import os
import tempfile
from pathlib import Path

import pytest

from tests.redis_number import redis_of_worker

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
OUTSIDE = {
    name: os.environ.get(f"OUTSIDE_{name}", os.environ.get(name, ""))
    for name in ("DATABASE_URL", "REDIS_URL")
}
POSTGRESQL = bool(OUTSIDE["DATABASE_URL"])
# Each process of tests removes what it made: the controller this one.
RUN_DIR = Path(os.environ.get("TEST_RUN_DIR") or tempfile.mkdtemp(prefix="cloudnotes-run-"))
DATA_DIR = tempfile.mkdtemp(prefix="cloudnotes-tests-")


SETTINGS = Path(__file__).parent.parent / ".env.example"
for line in SETTINGS.read_text().splitlines():
    if line.startswith("#") and "=" in line:
        os.environ.pop(line[1:].partition("=")[0], None)
for name in ("RAILWAY_ENVIRONMENT_NAME", "RAILWAY_PUBLIC_DOMAIN"):
    os.environ.pop(name, None)

os.environ.update({f"OUTSIDE_{name}": value for name, value in OUTSIDE.items()})
os.environ["TEST_RUN_DIR"] = str(RUN_DIR)
os.environ.update({name: value for name, value in OUTSIDE.items() if value})
if WORKER and OUTSIDE["REDIS_URL"]:
    os.environ["REDIS_URL"] = redis_of_worker(OUTSIDE["REDIS_URL"], WORKER)
os.environ["ENV_FILE"] = os.devnull
os.environ["DATA_DIR"] = DATA_DIR
os.environ["CORS_ALLOWED_ORIGINS"] = "https://app.example.org"
os.environ["RATE_LIMITS"] = "off"  # the tests of the limits switch them on
os.environ["MAX_FILE_BYTES"] = str(8 * 2**20)
os.environ["QUICK_HASHES"] = "1"  # for services that the tests start (tests/patience.py)


def is_controller(config: pytest.Config) -> bool:
    """Tell whether this process hands out tests, or is the only one."""
    return not hasattr(config, "workerinput")
