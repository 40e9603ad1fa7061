"""Databases for services that tests start: new, migrated ones of this leg's kind.

Migrating takes seconds, so it is done once a run: into a template that new databases are copies of.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
# What :func:`database` does: the environment of a service, for as long as its database is there.
NewDatabase = Callable[..., AbstractContextManager[dict[str, str]]]
FILE = "cloudnotes.sqlite3"  # in DATA_DIR, where nothing else is set
# Set by tests/legs.py while a test runs that asks for no database.
is_refused = False


def run_dir() -> Path:
    """Return the folder that all processes of a run share (tests/environment.py)."""
    return Path(os.environ["TEST_RUN_DIR"])


@contextlib.contextmanager
def database(
    folder: Path, *, is_empty: bool = False, embedded: bool = False
) -> Iterator[dict[str, str]]:
    """Yield the environment of a service on a new database, migrated unless it is to be empty.

    The kind is that of DATABASE_URL; an embedded one is always SQLite. Raises ``RuntimeError`` in a
    test that does not ask for the fixture ``new_database``, so that it cannot miss a leg.
    """
    if is_refused and not embedded:
        raise RuntimeError("a test that starts a service with a database asks for new_database")
    url = "" if embedded else os.environ.get("DATABASE_URL", "")
    if url:
        with _postgresql(url, "template0" if is_empty else template(url)) as new:
            yield {"DATABASE_URL": new}
        return
    if not is_empty:
        (folder / "data").mkdir(exist_ok=True)
        shutil.copyfile(sqlite_template(), folder / "data" / FILE)
    yield {"DATABASE_URL": ""}


@contextlib.contextmanager
def _postgresql(url: str, source: str) -> Iterator[str]:
    name = f"cloudnotes_{secrets.token_hex(4)}"
    _create(url, name, source)
    try:
        yield f"{url.rpartition('/')[0]}/{name}"
    finally:
        drop(url, name)


def _create(url: str, name: str, source: str) -> None:
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(source)))


def drop(url: str, name: str) -> None:
    """Remove a database, even with open connections."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def template_name() -> str:
    """Return the name of this run's template on PostgreSQL."""
    return run_dir().name.replace("-", "_").lower()


def template(url: str) -> str:
    """Return the name of a migrated database that nobody is connected to."""
    name = template_name()
    with _locked("postgresql") as is_made:
        if not is_made:
            drop(url, name)
            _create(url, name, "template0")
            _migrate(DATABASE_URL=f"{url.rpartition('/')[0]}/{name}")
    return name


def sqlite_template() -> Path:
    """Return a migrated SQLite file that nobody has open."""
    folder = run_dir() / "sqlite"
    with _locked("sqlite") as is_made:
        if not is_made:
            folder.mkdir(exist_ok=True)
            _migrate(DATABASE_URL="", DATA_DIR=str(folder))
    return folder / FILE


@contextlib.contextmanager
def _locked(what: str) -> Iterator[bool]:
    """Hold the lock of a template; yield whether a process of this run has made it."""
    made = run_dir() / f"{what}-made"
    with (run_dir() / f"{what}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield made.exists()
        made.touch()


def _migrate(**environment: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)
