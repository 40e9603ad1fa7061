import datetime as dt
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.utils import timezone

from accounts.actions import mails
from accounts.models import Mail
from cloudnotes import health
from tests.conftest import leg
from tests.deploy.postgresql import PostgreSQL
from tests.ports import free_port, listens
from tests.servers import Server, wait_for
from tests.waiting import until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forget():
    health._outside.cache_clear()
    yield
    health._outside.cache_clear()


def test_any_host_and_no_redirect(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/health", "/health/ready"):
        response = client.get(path, HTTP_HOST="healthcheck.railway.app")
        assert response.status_code == 200
        assert response.json()["status"] == "ok"
        assert response.json()["ok"] is True


def test_a_database_behind_the_code_is_not_ready(client, monkeypatch):
    health._seen_whole.clear()
    monkeypatch.setattr(
        "django.db.migrations.executor.MigrationExecutor.migration_plan", lambda *_: [("a", "b")]
    )
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "not migrated"
    assert response.json()["ok"] is False


def test_redis_and_storage_are_reported_and_do_not_decide(client, settings, bucket, monkeypatch):
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 30)
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    settings.STORAGES["default"]["OPTIONS"]["bucket_name"] = "not-there"
    settings.STORAGES = dict(settings.STORAGES)
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json()["checks"] == {
        "database": "ok",
        "deletions": "ok",
        "mail": "ok",
        "redis": "unavailable",
        "storage": "unavailable",
    }


def test_a_redis_that_runs_is_ok_and_one_that_hangs_is_not(client, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 30)
    settings.REDIS_TIMEOUT_SECONDS = 5
    port = free_port()
    command = [leg("redis-server"), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), process, "redis-server")
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        assert client.get("/health").json()["checks"]["redis"] == "ok"
        health._outside.cache_clear()
        process.send_signal(19)  # SIGSTOP: it hangs
        assert client.get("/health").json()["checks"]["redis"] == "unavailable"
    finally:
        process.kill()
        process.wait()


@pytest.mark.postgresql
def test_a_database_that_stops_is_503_and_recovers_by_itself(tmp_path):
    """A real server and a real PostgreSQL of its own, stopped hard and started again."""
    with PostgreSQL(tmp_path) as database:
        server = Server(tmp_path, is_patient=False, DATABASE_URL=database.url)
        server.start()
        try:
            account = {"email": "a@example.org", "password": "a long enough password"}
            tokens = requests.post(f"{server.api}/auth/register", json=account, timeout=60).json()
            header = {"Authorization": f"Bearer {tokens['access_token']}"}
            database.stop()
            answer = requests.get(f"{server.api}/notes", headers=header, timeout=60)
            assert answer.status_code == 503
            assert answer.json()["code"] == "unavailable"
            assert "Retry-After" in answer.headers
            for _ in range(5):
                answer = requests.get(f"{server.url}/health/ready", timeout=60)
                assert answer.status_code == 503
                assert requests.get(f"{server.url}/health/live", timeout=60).ok
            database.start()
            ready = f"{server.url}/health/ready"
            until(lambda: requests.get(ready, timeout=60).ok, "a service with its database")
            for _ in range(20):
                assert requests.get(f"{server.api}/notes", headers=header, timeout=60).ok
        finally:
            server.stop()


@pytest.mark.postgresql
def test_a_pool_tries_to_reconnect_more_often_than_a_request_gives_up(settings):
    """psycopg_pool doubles its waits until ``reconnect_timeout``; without it, up to 5 minutes."""
    pool = settings.DATABASES["default"]["OPTIONS"]["pool"]
    assert pool["reconnect_timeout"] < pool["timeout"]


@pytest.mark.postgresql
def test_a_database_that_hangs_is_503_for_everybody(tmp_path):
    with PostgreSQL(tmp_path) as database:
        server = Server(tmp_path, is_patient=False, DATABASE_URL=database.url)
        server.start()
        try:
            body = {"username": "nobody", "password": "x"}
            database.hang()

            def ask(_):
                return requests.post(f"{server.api}/auth/login", json=body, timeout=60).status_code

            with ThreadPoolExecutor(12) as pool:
                assert set(pool.map(ask, range(12))) == {503}
            database.wake()
            until(lambda: ask(0) == 401, "an answer from a database that is awake")
        finally:
            database.wake()
            server.stop()


def test_mail_that_nobody_sends_is_told(client, alice, settings):
    mails.enqueue(
        kind=Mail.Kind.NEW_DEVICE, user=alice, now=timezone.now() - dt.timedelta(minutes=3)
    )
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["checks"]["mail"]) == (200, "late")
    settings.EMAIL_IS_ON = False
    assert client.get("/health").json()["checks"]["mail"] == "not used"
