"""``migrate`` under a lock, because every replica runs it when it starts."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from cloudnotes.checks import check_triggers, first_refusal
from cloudnotes.db.tables import is_migrated

LOCK = 0x636C6F7564  # "cloud": the advisory lock's number in a PostgreSQL database


class Command(MigrateCommand):
    """Django's ``migrate`` under a lock: a second process waits and then has nothing to do.

    PostgreSQL: a session advisory lock (needs a direct connection, not a
    transaction-pooling PgBouncer). SQLite: ``flock`` on a file beside the database.

    It is the first command of a deploy, so it also stops the start with one line if the settings
    are wrong.
    """

    def check(self, *args: Any, **options: Any) -> None:
        if refusal := first_refusal():
            raise CommandError(refusal)
        super().check(*args, **options)

    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        lock = _advisory if connection.vendor == "postgresql" else _beside
        with lock(connection):
            output = super().handle(*args, **options)
            # Once more: a database that was yet to be migrated was not looked at before.
            if not options["skip_checks"] and is_migrated(connection):
                for error in check_triggers(None, databases=[options["database"]]):
                    raise CommandError(f"{error.msg} {error.hint}")
        return output


@contextlib.contextmanager
def _advisory(connection: BaseDatabaseWrapper) -> Iterator[None]:
    # A migration, and the wait for it, may take longer than the timeouts of requests.
    timeouts = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with connection.cursor() as cursor:
        for name in timeouts:
            cursor.execute(f"SET {name} = 0")
        # Not pg_advisory_lock: CREATE INDEX CONCURRENTLY waits for all running statements, so it
        # would wait forever for a statement that waits for this lock.
        while not _try_lock(cursor):
            time.sleep(0.2)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
            for name in timeouts:
                cursor.execute(f"RESET {name}")


def _try_lock(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
    return bool(cursor.fetchone()[0])


@contextlib.contextmanager
def _beside(connection: BaseDatabaseWrapper) -> Iterator[None]:
    name = str(connection.settings_dict["NAME"])
    if "mode=memory" in name or name == ":memory:":
        yield
        return
    path = Path(f"{name}.migrating")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
