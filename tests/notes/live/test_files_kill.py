"""Processes are killed while files are written; afterwards storage and database agree."""

import random

import pytest

from tests.lengths import length
from tests.notes.live import file_writers
from tests.notes.live.file_writers import Load
from tests.servers import PATIENT, Server

KILLS = length(short=12, full=500)
CLIENTS = 8
# Processes that are started from a loaded one are there at once.
PRELOAD = {"GUNICORN_CMD_ARGS": PATIENT["GUNICORN_CMD_ARGS"] + " --preload"}


@pytest.fixture
def victim(tmp_path, s3, new_database):
    with new_database(tmp_path) as where:
        bucket = s3.new_bucket()
        running = Server(
            tmp_path, **where | PRELOAD, **s3.environment(bucket), **file_writers.SETTINGS
        )
        running.start()
        yield running, bucket
        running.stop()


@pytest.mark.long
def test_files_of_killed_processes_are_whole_or_not_there(victim, s3):
    server, bucket = victim
    load = Load(server)

    def pause():
        load.wait_for(load.acknowledged + random.randint(1, 20))

    with file_writers.clients(load, CLIENTS):
        file_writers.kill_some(server, load, kills=KILLS, pause=pause)
        pause()
    file_writers.settle(server)

    found = file_writers.audit(load, s3, bucket)
    assert found.all() == []
    assert file_writers.reconcile(server, "--dry-run --verify") == 0  # and it says so too
    assert load.retries > 0  # otherwise the processes died idle
    print(  # noqa: T201 - for who kills many
        f"{KILLS} kills, {load.acknowledged} acknowledged, {load.retries} retries"
    )
