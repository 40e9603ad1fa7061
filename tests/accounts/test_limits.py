"""Exact limits: two processes, parallel attempts, spoofed addresses, a Redis that dies."""

import collections
import itertools
import re
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.conf import settings
from django.urls import reverse

from accounts.models import Attempts
from cloudnotes.api.client_network import network
from tests.conftest import PASSWORD, leg, make_user
from tests.lengths import length
from tests.ports import free_port, listens
from tests.servers import Server, wait_for

# More than twice the largest limit; any number would show one attempt too many.
ATTEMPTS = length(short=80, full=200)
hosts = itertools.count(1)


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory):
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [leg("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: listens(port), process, "redis-server")
    yield port, process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def limited(tmp_path_factory, new_database):
    """CloudNotes with its limits on, told addresses by the tests as by a trusted proxy."""
    folder = tmp_path_factory.mktemp("limited")
    with new_database(folder) as where:
        running = Server(folder, **where, RATE_LIMITS="on", TRUSTED_PROXY="1", REDIS_URL="")
        running.start()
        yield running
        running.stop()


def new_address():
    """Return an address in a network that no other test has used."""
    number = next(hosts)
    return f"10.{number // 250}.{number % 250}.7"


def account(server):
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    headers = {"X-Real-IP": new_address()}
    answer = requests.post(f"{server.api}/auth/register", json=body, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    return body, answer.json()


def login(server):
    body, _ = account(server)
    return lambda headers: requests.post(
        f"{server.api}/auth/login", json={**body, "password": "wrong"}, headers=headers, timeout=60
    )


def register(server):
    def attempt(headers):
        body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
        return requests.post(f"{server.api}/auth/register", json=body, headers=headers, timeout=60)

    return attempt


def public(path, *names, **fields):
    """Return what makes attempts at an address that needs no token, for one new account.

    ``names`` are the members of the account's registration that are sent.
    """

    def prepare(server):
        known, _ = account(server)
        body = {**{name: known[name] for name in names}, **fields}
        return lambda headers: requests.post(
            f"{server.api}/auth/{path}", json=body, headers=headers, timeout=60
        )

    return prepare


def with_token(path, **fields):
    """Return what makes attempts at an address that asks a logged-in user for a secret."""

    def prepare(server):
        _, tokens = account(server)
        token = {"Authorization": f"Bearer {tokens['access_token']}"}
        return lambda headers: requests.post(
            f"{server.api}/auth/{path}", json=fields, headers={**headers, **token}, timeout=60
        )

    return prepare


def admin_login(server):
    url = f"{server.url}/admin/login/"

    def attempt(headers):
        with requests.Session() as browser:
            page = browser.get(url, headers=headers, timeout=60)
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
            form = {"username": "sam@example.org", "password": "x", "csrfmiddlewaretoken": token}
            return browser.post(url, form, headers=headers, timeout=60)

    return attempt


SCOPES = {
    "login": login,
    "register": register,
    "verify": public("email/verify", "email", code="12345678"),
    "resend": public("email/resend", "email"),
    "forgot": public("password/forgot", "email"),
    "reset": public("password/reset", "password", token="1.nonsense"),
    "password": with_token("password/change", password="wrong", new_password="another long one"),
    "email_change": with_token("email/change", password="wrong", email="new@example.org"),
    "second_factor": with_token("2fa/confirm", code="0000000"),
    "token_creation": with_token("tokens", password="wrong", name="t", scopes=["notes:read"]),
    "admin_login": admin_login,
}


def in_parallel(attempt, headers):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: attempt(headers()), range(ATTEMPTS)))
    for answer in answers:
        if answer.status_code == 429:
            assert 1 <= int(answer.headers["Retry-After"]) <= 3600
            assert answer.headers["RateLimit-Remaining"] == "0"
    return collections.Counter(answer.status_code for answer in answers)


def test_every_scope_is_tried():
    assert set(SCOPES) == set(settings.LIMITS) - {"api", "anonymous"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("scope", "spoofed"), [("login", False), *((scope, True) for scope in SCOPES)]
)
def test_of_parallel_attempts_exactly_the_limit_is_evaluated(limited, scope, spoofed):
    attempt, address = SCOPES[scope](limited), new_address()

    def headers():
        spoof = {"X-Forwarded-For": f"198.51.100.{secrets.randbelow(250)}"} if spoofed else {}
        return {"X-Real-IP": address, **spoof}

    statuses = in_parallel(attempt, headers)
    limit = settings.LIMITS[scope][0][1]
    assert statuses[429] == ATTEMPTS - limit, statuses
    assert sum(statuses.values()) - statuses[429] == limit


@pytest.mark.long
@pytest.mark.parametrize("scope", ["password", "email_change", "second_factor", "token_creation"])
def test_an_idempotency_key_buys_no_attempt(limited, scope):
    """With one, the count is part of the request's transaction."""
    attempt, address = SCOPES[scope](limited), new_address()
    statuses = in_parallel(
        attempt, lambda: {"X-Real-IP": address, "Idempotency-Key": secrets.token_hex(8)}
    )
    limit = settings.LIMITS[scope][0][1]
    assert statuses[429] == ATTEMPTS - limit, statuses
    assert sum(statuses.values()) - statuses[429] == limit


def test_it_holds_over_a_restart_and_in_the_same_24(limited):
    attempt = login(limited)
    limit = settings.LIMITS["login"][0][1]
    headers = {"X-Real-IP": "192.0.2.1"}
    assert {attempt(headers).status_code for _ in range(limit)} == {401}
    limited.stop()
    limited.start()
    assert attempt(headers).status_code == 429
    assert attempt({"X-Real-IP": "192.0.2.200"}).status_code == 429
    assert attempt({"X-Real-IP": "192.0.3.1"}).status_code == 401  # nobody else is locked out


@pytest.mark.long
def test_with_redis_killed_in_the_middle(tmp_path, redis_port, new_database):
    port, redis = redis_port
    with new_database(tmp_path) as where:
        running = Server(
            tmp_path, **where, RATE_LIMITS="on", TRUSTED_PROXY="1",
            REDIS_URL=f"redis://127.0.0.1:{port}/0",
        )  # fmt: skip
        running.start()
        try:
            attempt, address = login(running), new_address()
            killer = iter(range(ATTEMPTS))

            def headers():
                if next(killer) == ATTEMPTS // 2:
                    redis.kill()
                return {"X-Real-IP": address}

            statuses = in_parallel(attempt, headers)
            limit = settings.LIMITS["login"][0][1]
            assert statuses == {401: limit, 429: ATTEMPTS - limit}
            _, tokens = account(running)
            token = {"Authorization": f"Bearer {tokens['access_token']}"}
            answers = [
                requests.get(f"{running.api}/notes", headers=token, timeout=60) for _ in range(20)
            ]
            assert {answer.status_code for answer in answers} == {200}
        finally:
            running.stop()


@pytest.mark.django_db
class TestInProcess:
    @pytest.fixture(autouse=True)
    def on(self, settings):
        settings.RATE_LIMITS = True

    def test_identifiers_are_folded_into_one_key(self, alice, anonymous):
        body = {"password": "wrong"}
        for name in ("alice", "ALICE", "ａｌｉｃｅ", "alice ") * 3:
            last = anonymous.post("/api/v1/auth/login", {**body, "username": name}, format="json")
        assert last.status_code == 429
        assert last.json()["code"] == "too_many_requests"
        assert last.headers["RateLimit-Policy"] == "10;w=300"

    def test_what_is_malformed_costs_no_attempt(self, anonymous):
        for _ in range(20):
            anonymous.post("/api/v1/auth/login", {"username": "alice"}, format="json")
        assert not Attempts.objects.exists()

    def test_the_table_names_nobody(self, alice, anonymous):
        body = {"username": "alice", "password": PASSWORD}
        anonymous.post("/api/v1/auth/login", body, format="json")
        assert Attempts.objects.count() == 2
        assert not any("alice" in row.key for row in Attempts.objects.all())

    def test_a_window_ends_and_begins_anew(self, alice, anonymous):
        body = {"username": "alice", "password": "wrong"}
        for _ in range(11):
            anonymous.post("/api/v1/auth/login", body, format="json")
        Attempts.objects.update(ends_at=1)
        answer = anonymous.post("/api/v1/auth/login", body, format="json")
        assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (401, "9")

    def test_an_attempt_costs_two_queries_and_a_refused_one_writes_nothing(
        self, alice, anonymous, django_assert_num_queries
    ):
        body = {"username": "nobody", "password": "wrong"}
        with django_assert_num_queries(3):  # the user looked for, account and network counted
            anonymous.post("/api/v1/auth/login", body, format="json")
        for _ in range(10):
            anonymous.post("/api/v1/auth/login", body, format="json")
        with django_assert_num_queries(3):  # the user looked for, no room, and until when
            anonymous.post("/api/v1/auth/login", body, format="json")

    def test_the_admin_says_it_on_its_page(self, client):
        make_user("sam", is_staff=True)
        form = {"username": "sam@example.org", "password": "wrong"}
        pages = [client.post(reverse("admin:login"), form) for _ in range(11)]
        assert [page.status_code for page in pages] == [200] * 10 + [429]
        assert "Too many attempts" in pages[-1].content.decode()
        right = client.post(reverse("admin:login"), {**form, "password": PASSWORD})
        assert right.status_code == 429


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_networks(address, expected):
    assert network(address) == expected
