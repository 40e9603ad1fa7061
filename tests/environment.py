"""The environment of the test run, set before Django reads its settings (a pytest plugin).

Two variables come from outside: DATABASE_URL and REDIS_URL, which choose the leg. Everything else
is set here, so that nothing of the machine or of a developer's .env reaches the tests.
"""

import os
import tempfile
from pathlib import Path

DATA_DIR = tempfile.mkdtemp(prefix="cloudnotes-tests-")
OUTSIDE = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}

SETTINGS = Path(__file__).parent.parent / ".env.example"
for line in SETTINGS.read_text().splitlines():
    if line.startswith("#") and "=" in line:
        os.environ.pop(line[1:].partition("=")[0], None)
for name in ("RAILWAY_ENVIRONMENT_NAME", "RAILWAY_PUBLIC_DOMAIN"):
    os.environ.pop(name, None)

os.environ.update({name: value for name, value in OUTSIDE.items() if value})
os.environ["ENV_FILE"] = os.devnull
os.environ["DATA_DIR"] = DATA_DIR
os.environ["CORS_ALLOWED_ORIGINS"] = "https://app.example.org"
os.environ["RATE_LIMITS"] = "off"  # the tests of the limits switch them on
os.environ["MAX_FILE_BYTES"] = str(8 * 2**20)
