"""The process model: gunicorn with our worker, signals, sockets, restarts."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.ports import free_port, listens
from tests.servers import ROOT, wait_for
from tests.waiting import TIMEOUT_SECONDS, until

pytestmark = pytest.mark.service


@pytest.fixture
def gunicorn(tmp_path):
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "2"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "tests.cloudnotes.toy_asgi:application"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    wait_for(lambda: listens(port), process, "gunicorn")
    process.port = port
    yield process
    process.kill()
    process.wait()


def test_sockets_and_http_share_one_port_and_sockets_close_with_1012(gunicorn):
    with connect(f"ws://127.0.0.1:{gunicorn.port}/any", open_timeout=60) as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=60) == "hello"
        assert requests.get(f"http://127.0.0.1:{gunicorn.port}/environ", timeout=60).ok
        gunicorn.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=60)
    assert closed.value.rcvd.code == 1012
    assert gunicorn.wait(timeout=TIMEOUT_SECONDS) == 0


def test_sigterm_lets_a_request_in_flight_finish(gunicorn, tmp_path):
    url = f"http://127.0.0.1:{gunicorn.port}/file{tmp_path}"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.get, url, timeout=60)
        until((tmp_path / "started").exists, "a request that has begun")
        gunicorn.send_signal(signal.SIGTERM)
        until(lambda: not listens(gunicorn.port), "a closed port")
        (tmp_path / "go").touch()
        assert answer.result().text == "finished"
    assert gunicorn.wait(timeout=TIMEOUT_SECONDS) == 0


def test_the_service_refuses_sockets_that_have_no_consumer(disk_server):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{disk_server.port}/ws/notify", open_timeout=60)
    assert refused.value.response.status_code == 403


def test_live_is_answered_for_any_host_without_a_thread(disk_server):
    answer = requests.get(
        f"{disk_server.url}/health/live", headers={"Host": "healthcheck.railway.app"}, timeout=60
    )
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "status": "ok"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_reload_replaces_the_workers_and_refuses_nothing(disk_server):
    """SIGHUP, which ``systemctl reload`` sends: the address stays open."""
    before = set(disk_server.workers())
    disk_server.process.send_signal(signal.SIGHUP)

    def is_renewed():
        assert requests.get(f"{disk_server.url}/health/ready", timeout=60).status_code == 200
        workers = set(disk_server.workers())
        return len(workers) == 2 and not workers & before

    until(is_renewed, "new workers")


def test_a_killed_worker_is_replaced_and_nothing_is_refused_for_long(disk_server):
    workers = disk_server.workers()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: set(disk_server.workers()) - set(workers), "another worker")
    assert requests.get(f"{disk_server.url}/health/ready", timeout=60).ok


def test_the_connection_pool_is_as_large_as_the_threads(settings):
    options = settings.DATABASES["default"]["OPTIONS"]
    if "pool" in options:
        jobs = len(settings.WORKER_JOBS) if settings.RUN_WORKER else 0
        assert options["pool"]["max_size"] == 3 * settings.WEB_THREADS + jobs
    else:
        assert options["transaction_mode"] == "IMMEDIATE"
