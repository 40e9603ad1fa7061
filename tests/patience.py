"""The service's configuration for tests on a machine that may pause for seconds at any time.

What a service gives up after, so that everybody is answered within ten seconds, would be a refusal
that no test asked for. The tests of those limits start a service without this. With QUICK_HASHES
set, passwords are hashed at the least cost: no test of a service is about that.
"""

import os
import pkgutil
import runpy
from pathlib import Path
from typing import Any

SECONDS = 60
BEFORE_THE_APPLICATION = (
    "cloudnotes.server.wsgi_adapter.QUEUE_SECONDS",
    "cloudnotes.server.wsgi_adapter.ANSWER_SECONDS",
    "cloudnotes.server.wsgi_adapter.STORING_QUEUE_SECONDS",
    "cloudnotes.server.wsgi_adapter.STORING_ANSWER_SECONDS",
)
BEHIND_IT = (
    "accounts.pictures.QUEUE_SECONDS",
    "accounts.pictures.TIMEOUT_SECONDS",
    "cloudnotes.db.compiled_queries.Query.timeout_seconds",
    "cloudnotes.db.compiled_queries.Statement.timeout_seconds",
    "cloudnotes.fastpath.dispatch.ANSWER_SECONDS",
    "cloudnotes.fastpath.dispatch.RETRY_SECONDS",
    "notes.files.objects.TIMEOUT_SECONDS",
)

globals().update(runpy.run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))


def post_fork(server: Any, worker: Any) -> None:
    """Be patient with threads and the database."""
    for name in BEFORE_THE_APPLICATION:
        be_patient(name)
    if os.environ.get("QUICK_HASHES"):
        hashers = pkgutil.resolve_name("cloudnotes.settings.PASSWORD_HASHERS")
        hashers[0] = "tests.hashers.QuickBCryptSHA256"
    options = pkgutil.resolve_name("cloudnotes.settings.DATABASE")["OPTIONS"]
    if "timeout" in options:
        options["timeout"] = SECONDS
    else:
        options["options"] = f"-c statement_timeout={1000 * SECONDS}"
        options["pool"]["timeout"] = SECONDS


def post_worker_init(worker: Any) -> None:
    """Be patient with whatever needs Django to be imported."""
    for name in BEHIND_IT:
        be_patient(name)
    if transport := pkgutil.resolve_name("cloudnotes.asgi:application.http.fast"):
        transport.writes.options += f" -c statement_timeout={1000 * SECONDS} -c lock_timeout=0"


def be_patient(name: str) -> None:
    """Set a number of seconds of the service."""
    owner, _, seconds = name.rpartition(".")
    assert hasattr(pkgutil.resolve_name(owner), seconds), name
    setattr(pkgutil.resolve_name(owner), seconds, SECONDS)
