"""The API's general limits: exact on Redis, exact in a process, and never in the way."""

import itertools
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from cloudnotes.api.throttling import SharedCounter, Windows
from tests.conftest import client_of, leg
from tests.ports import free_port, listens
from tests.servers import wait_for


@pytest.fixture
def small(settings, monkeypatch):
    monkeypatch.setattr("cloudnotes.api.throttling.counter", SharedCounter())
    settings.RATE_LIMITS = True
    settings.REDIS_URL = ""
    settings.LIMITS = {
        **settings.LIMITS,
        "api": [("account", 3, 60)],
        "anonymous": [("network", 3, 60)],
    }


@pytest.mark.django_db
def test_a_user_is_limited_and_told_what_is_left(small, alice, bob):
    client = client_of(alice)
    left = [client.get("/api/v1/notes").headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = client.get("/api/v1/notes")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Policy"] == "3;w=60"
    assert client_of(bob).get("/api/v1/notes").status_code == 200


@pytest.mark.django_db
def test_without_a_token_the_network_is_limited(small, anonymous):
    def refresh(address):
        return anonymous.post(
            "/api/v1/auth/refresh", {"refresh_token": "x"}, format="json", REMOTE_ADDR=address
        ).status_code

    assert [refresh(f"203.0.113.{number}") for number in range(4)] == [401, 401, 401, 429]
    assert refresh("203.0.114.1") == 401


def hit_in_parallel(counter, key):
    with ThreadPoolExecutor(16) as pool:
        hits = pool.map(lambda _: counter.hit(key, 20, 60)[0], range(200))
        return sum(hits)


class Interrupted(dict):
    """A dictionary that lets other threads run after each look-up, so that a race shows."""

    def get(self, key, default=None):
        value = super().get(key, default)
        time.sleep(0)
        return value


def test_windows_of_a_process_are_exact():
    windows = Windows()
    windows.windows = Interrupted()
    assert {hit_in_parallel(windows, str(number)) for number in range(10)} == {20}


def test_windows_of_a_process_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr("cloudnotes.api.throttling.MAX_WINDOWS", 10)
    windows = Windows()
    for number in range(100):
        windows.hit(str(number), 1, 60)
    assert len(windows.windows) <= 10


@pytest.fixture
def redis_server(settings, tmp_path):
    """Start a Redis server of the test's own, and count on it."""
    port = free_port()
    command = [leg("redis-server"), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), process, "redis-server")
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.service
@pytest.mark.usefixtures("redis_server")
def test_on_redis_they_are_exact(settings):
    settings.REDIS_TIMEOUT_SECONDS = 10
    key = f"test-{time.monotonic_ns()}"
    assert hit_in_parallel(SharedCounter(), key) + hit_in_parallel(SharedCounter(), key) == 20
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert any(key in name.decode() for name in client.scan_iter("cloudnotes:limits*"))


@pytest.mark.service
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_redis_that_dies_or_hangs_in_the_middle_refuses_nobody_and_lets_few_through(
    settings, redis_server, sent
):
    settings.REDIS_TIMEOUT_SECONDS = 3
    counter, numbers = SharedCounter(), itertools.count(1)
    is_going, is_gone = threading.Event(), threading.Event()

    def hit(_):
        if next(numbers) == 100:
            is_going.set()
            redis_server.send_signal(sent)
            is_gone.set()
        was_gone = is_gone.is_set()
        is_allowed = counter.hit("key", 20, 60)[0]
        return is_allowed, is_going.is_set() and not was_gone

    with ThreadPoolExecutor(16) as pool:
        hits = list(pool.map(hit, range(200)))
    allowed = sum(is_allowed for is_allowed, _ in hits)
    # The limit on Redis and the limit without it. Of those that were under way when it went, each
    # may have been counted by Redis and not answered, so it was counted once more.
    under_way = sum(is_under_way for _, is_under_way in hits)
    assert 40 - under_way <= allowed <= 40


def test_one_caller_in_five_seconds_asks_a_redis_that_is_gone(settings, caplog, monkeypatch):
    monkeypatch.setattr("cloudnotes.api.throttling.BREAK_SECONDS", 600)
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    counter = SharedCounter()
    assert hit_in_parallel(counter, "key") == 20
    warnings = [record for record in caplog.records if "Redis" in record.message]
    assert 1 <= len(warnings) <= 16  # those that were asking when the first one failed
    before = len(caplog.records)
    assert hit_in_parallel(counter, "other") == 20
    assert len(caplog.records) == before
    counter.retry_at = time.monotonic() - 1  # the break is over: one asks again
    assert hit_in_parallel(counter, "third") == 20
    assert len(caplog.records) == before + 1
