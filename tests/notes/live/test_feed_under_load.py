"""The benchmark of the feed, short: many writers, a restart, and nobody misses a change."""

import os

import pytest

from benchmarks import feed
from tests.deploy.postgresql import BINARIES
from tests.lengths import length

CHANGES = length(short=1000, full=100_000)


@pytest.mark.long
@pytest.mark.usefixtures("new_database")
def test_followers_miss_nothing_while_many_write_and_the_server_restarts(tmp_path):
    """On PostgreSQL its own server is killed; SQLite has none, and the web service is killed."""
    kind = "postgresql" if os.environ.get("DATABASE_URL") else "sqlite"
    if kind == "postgresql" and not BINARIES:
        pytest.skip("leg skipped: no PostgreSQL server to start (make services)")
    with feed.service(tmp_path, kind) as (server, restart):
        report = feed.run(
            server, restart, changes=CHANGES, writers=32, clients=8, **feed.DELAYS[kind]
        )
    assert (report.lost, report.phantom, report.disorder) == ([], [], [])
    assert report.acknowledged >= CHANGES
    assert report.rolled_back > 0
    assert report.pages > 8
