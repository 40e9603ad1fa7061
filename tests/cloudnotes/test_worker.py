"""The worker: its jobs run, fail alone, and end in order."""

import signal
import subprocess
import threading
import time

import pytest
from django.db import OperationalError

from cloudnotes.worker import Worker
from tests.servers import ROOT, Server
from tests.waiting import TIMEOUT_SECONDS, until

ran: list[str] = []


def good():
    ran.append("good")
    return len(ran) < 3


def bad():
    ran.append("bad")
    raise ValueError("a job's bug")


def without_database():
    ran.append("database")
    raise OperationalError("gone")


def run(settings, *jobs):
    ran.clear()
    settings.WORKER_JOBS = {job.__name__: (f"{__name__}.{job.__name__}", 3600) for job in jobs}
    worker = Worker()
    worker.start()
    return worker


def test_a_job_runs_again_at_once_while_there_is_more(settings):
    worker = run(settings, good)
    until(lambda: len(ran) == 3, "three runs")
    worker.stop(10)
    assert ran == ["good"] * 3
    assert not any(thread.is_alive() for thread in worker.threads)


def test_one_that_fails_does_not_end_the_others(settings, caplog, monkeypatch):
    monkeypatch.setattr("cloudnotes.worker.AFTER_A_FAILURE_SECONDS", 0.01)
    worker = run(settings, bad, without_database, good)
    until(lambda: {"good", "bad"} <= {*ran} and ran.count("database") > 2, "runs of all")
    worker.stop(10)
    assert "bad failed" in caplog.text
    assert "without_database waits for the database: OperationalError" in caplog.text


def test_a_connection_that_cannot_be_closed_does_not_end_a_job(settings, monkeypatch):
    monkeypatch.setattr("cloudnotes.worker.AFTER_A_FAILURE_SECONDS", 0.01)
    failures = iter([True])

    def close():
        if next(failures, False):
            raise OperationalError("gone")

    monkeypatch.setattr("cloudnotes.worker.close_old_connections", close)
    worker = run(settings, good)
    until(lambda: ran, "a run")
    worker.stop(10)


def test_all_jobs_together_have_the_time_to_end(monkeypatch):
    waits = []

    class Stuck(threading.Thread):
        """A job that never ends: whoever waits for it waits for as long as they are ready to."""

        def join(self, timeout=None):
            waits.append(timeout)
            monkeypatch.setattr(time, "monotonic", lambda: began + sum(waits))

    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began)
    worker = Worker()
    worker.threads = [Stuck(), Stuck()]
    worker.stop(10)
    assert waits == [10, 0]


def test_as_a_process_it_ends_on_sigterm(tmp_path, embedded_database):
    with embedded_database(tmp_path) as where:
        server = Server(tmp_path, **where)
        server.manage("migrate --no-input --verbosity 0")
        process = server.popen("worker")
        try:
            until(lambda: "worker started: mail" in server.log.read_text(), "the worker")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=TIMEOUT_SECONDS) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.service
def test_it_refuses_unsafe_settings_as_the_web_process_does(tmp_path):
    server = Server(tmp_path, DATABASE_URL="", ENVIRONMENT="production", SECRET_KEY="short")
    refused = subprocess.run(
        ["python", "manage.py", "worker"],
        cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "SECRET_KEY is missing, short" in refused.stderr


def test_the_procfile_names_it():
    assert "worker: exec python manage.py worker\n" in (ROOT / "Procfile").read_text()
