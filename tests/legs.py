"""Which tests a leg runs, and in which order (a pytest plugin).

The SQLite leg runs every test. The PostgreSQL leg runs again what uses a database, decided by what
a test asks for: the marks ``django_db`` and ``postgresql`` (it runs there only), pytest-django's
fixtures, or ``new_database``. A test that asks for none of these gets no database: pytest-django
refuses it a connection, and :func:`tests.databases.database` and :class:`tests.servers.Server`
refuse it one for a service.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from tests import databases
from tests.environment import POSTGRESQL

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "new_database"}
# Each process has a database of the 64 in Redis (tests/services.sh).
MAX_CORES = 60
# Processes, servers and browsers: slow to start, and left out of make check.
SERVICE_FIXTURES = {"new_database", "embedded_database", "s3", "mail_server", "browser"}


def uses_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    marks = (item.get_closest_marker("django_db"), item.get_closest_marker("postgresql"))
    return any(marks) or bool(fixtures & DATABASE_FIXTURES)


def uses_service(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("service") is not None or bool(fixtures & SERVICE_FIXTURES)


def shared_fixtures(item: pytest.Item) -> bool:
    """Tell whether tests of a module share what one of them has made."""
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - pytest's
    return any(
        each[-1].scope in ("module", "class") and each[-1].baseid.endswith(".py")
        for each in definitions.values()
        if each
    )


def selected(items: list[pytest.Item], *, is_postgresql: bool) -> list[pytest.Item]:
    """Return what a leg runs."""
    return [item for item in items if uses_database(item) or not is_postgresql]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = selected(items, is_postgresql=POSTGRESQL)
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen
    for item in items:
        if uses_database(item):
            item.add_marker("database")
        if uses_service(item):
            item.add_marker("service")
        if item.get_closest_marker("postgresql") and not POSTGRESQL:
            item.add_marker(pytest.mark.skip(reason="the PostgreSQL leg: make test-all"))
        if shared_fixtures(item):
            module = item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(module))
    # What takes long comes first, so that at the end no process waits for another's long test.
    items.sort(key=order)


def order(item: pytest.Item) -> int:
    if item.get_closest_marker("long"):
        return 0
    if uses_service(item):
        return 1 if shared_fixtures(item) else 2
    return 3


@pytest.hookimpl(tryfirst=True)  # before that of xdist
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Have one process more than there are cores for us: tests of services often wait."""
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has not
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(cores, MAX_CORES) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    databases.is_refused = not uses_database(item)
    starting.is_refused = not (uses_database(item) or uses_service(item))
    try:
        return (yield)
    finally:
        databases.is_refused = starting.is_refused = False


class Starting:
    """Refuses a process to tests that are not marked: ``make check`` leaves marked ones out."""

    EVENTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system")
    is_refused = False

    def audit(self, event: str, arguments: object) -> None:
        if self.is_refused and event in self.EVENTS:
            raise RuntimeError("a test that starts a process is marked with pytest.mark.service")


starting = Starting()


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(starting.audit)
