"""``Idempotency-Key``: one effect and one answer, however often a request is sent."""

import datetime as dt
import json
import secrets
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone
from rest_framework.parsers import MultiPartParser

from accounts import idempotency, personal_tokens
from accounts.actions import tokens
from accounts.authentication import BearerAuthentication
from accounts.models import Attempts, IdempotencyKey, PersonalAccessToken, User
from notes.models import Note
from tests.clients import new_account
from tests.conftest import PASSWORD, client_of, make_user
from tests.lengths import length
from tests.routes import FILES, GIF, MAKE, PUBLIC, TABLE, body_of, path_to, prefix_of, walk_views
from tests.waiting import until

NOTES, TOKENS = "/api/v1/notes", "/api/v1/auth/tokens"
ADDED_LATER = {"X-Request-Id", "Idempotent-Replayed"}  # by middleware, to each answer its own


def post(client, path=NOTES, body=None, key="k", **headers):
    body = {"title": "t"} if body is None else body
    return client.post(path, body, format="json", HTTP_IDEMPOTENCY_KEY=key, **headers)


def new_token(*scopes, **fields):
    return {"name": "cli", "password": PASSWORD, "scopes": scopes or ["notes:write"], **fields}


def client_with(client, *scopes, **fields):
    made = client_of(None)
    secret = client.post(TOKENS, new_token(*scopes, **fields), format="json").json()["token"]
    made.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return made


def seen(answer):
    headers = {name: value for name, value in answer.headers.items() if name not in ADDED_LATER}
    return answer.status_code, headers, answer.content


@pytest.mark.django_db
class TestReplay:
    def test_the_same_answer_and_one_effect(self, as_alice):
        first, second = post(as_alice), post(as_alice)
        assert first.status_code == 201
        assert seen(second) == seen(first)
        assert second.headers["Location"].endswith(f"/notes/{first.json()['id']}")
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        assert Note.objects.count() == 1

    def test_without_a_key_or_with_another_there_are_two(self, as_alice):
        for key in ("a", "b"):
            assert post(as_alice, key=key).status_code == 201
        as_alice.post(NOTES, {"title": "t"}, format="json")
        assert Note.objects.count() == 3

    def test_other_verbs_ignore_it(self, as_alice):
        url = f"{NOTES}/{post(as_alice).json()['id']}"
        for title in ("a", "b"):
            answer = as_alice.patch(url, {"title": title}, format="json", HTTP_IDEMPOTENCY_KEY="k")
            assert (answer.status_code, answer.json()["title"]) == (200, title)

    @pytest.mark.parametrize(
        "other",
        [
            {"body": {"title": "t "}},
            {"path": f"{NOTES}?x=1"},
            {"path": "/notes"},
            {"path": "/api/v1/contacts", "body": {"first_name": "t"}},
            {"HTTP_IF_MATCH": '"1"'},
            {"HTTP_PREFER": "return=minimal"},
        ],
    )
    def test_another_request_with_the_key_is_422(self, as_alice, other):
        post(as_alice)
        answer = post(as_alice, **other)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "Idempotent-Replayed" not in answer.headers
        assert Note.objects.count() == 1

    def test_another_content_type_is_another_request(self, as_alice):
        post(as_alice)
        answer = as_alice.post(
            NOTES, b'{"title":"t"}', content_type="application/json; a=b", HTTP_IDEMPOTENCY_KEY="k"
        )
        assert answer.status_code == 422

    def test_each_user_has_keys_of_their_own(self, as_alice, as_carol):
        mine, hers = post(as_alice), post(as_carol)
        assert (mine.status_code, hers.status_code) == (201, 201)
        assert mine.json()["id"] != hers.json()["id"]

    def test_all_sessions_of_a_user_share_them(self, alice, as_alice):
        first = post(as_alice)
        assert post(client_of(alice)).content == first.content

    @pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb", "\x7f", "🔑"])
    def test_odd_keys_are_400(self, as_alice, key):
        answer = post(as_alice, key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
        assert not Note.objects.exists()

    @pytest.mark.parametrize(
        "key",
        ["x" * 255, str(uuid.uuid4()), f'"{uuid.uuid4()}"', "a b~!'"],
        ids=["longest", "UUID", "quoted UUID", "other characters"],
    )
    def test_good_keys(self, as_alice, key):
        assert post(as_alice, key=key).content == post(as_alice, key=key).content
        assert Note.objects.count() == 1

    def test_a_stranger_is_401_before_the_key_is_looked_at(self, anonymous, caplog):
        assert post(anonymous, key="").status_code == 401
        anonymous.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
        answer = post(anonymous)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
        assert "WWW-Authenticate" in answer.headers
        anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {personal_tokens.new_token()}")
        assert post(anonymous).status_code == 401
        assert caplog.text.count("token refused") == 1  # the view is told what we were told

    def test_where_there_is_no_user_it_is_ignored(self, alice, anonymous):
        body = {"username": "alice", "password": PASSWORD}
        answers = [post(anonymous, "/api/v1/auth/login", body) for _ in range(2)]
        assert answers[0].json()["refresh_token"] != answers[1].json()["refresh_token"]
        assert post(anonymous, "/admin/login/").status_code in (200, 403)
        assert not IdempotencyKey.objects.exists()

    def test_an_old_key_is_as_good_as_new(self, as_alice):
        first = post(as_alice).json()["id"]
        a_day_ago = timezone.now() - idempotency.KEPT_FOR
        IdempotencyKey.objects.update(created_at=a_day_ago + dt.timedelta(seconds=30))
        assert post(as_alice).json()["id"] == first
        IdempotencyKey.objects.update(created_at=a_day_ago)
        second = post(as_alice, body={"title": "another"})
        assert second.status_code == 201
        assert second.json()["id"] != first
        assert IdempotencyKey.objects.count() == 1

    def test_an_answer_without_a_body(self, as_alice, alice):
        first = post(as_alice, "/api/v1/auth/logout-all", {})
        second = post(client_of(alice), "/api/v1/auth/logout-all", {})
        assert (second.status_code, second.headers["Idempotent-Replayed"]) == (204, "true")
        assert seen(second) == seen(first)

    def test_it_costs_three_queries_and_no_second_look_at_the_token(
        self, as_alice, django_assert_num_queries, settings
    ):
        is_postgresql = "postgresql" in settings.DATABASE["ENGINE"]
        # On PostgreSQL (in brackets) a lock more and a step of the feed less.
        # Token and user; begin; (the lock;) the key looked for; the note and its place in
        # the feed in a block of its own, which makes five (four); the answer kept; commit.
        with django_assert_num_queries(10):
            post(as_alice)
        with django_assert_num_queries(4 + is_postgresql):
            post(as_alice)


@pytest.mark.django_db
class TestPowers:
    def test_a_token_of_other_powers_is_not_told_the_answer(self, as_alice):
        writer = client_with(as_alice, "notes:write")
        first = post(writer)
        assert first.status_code == 201
        assert post(client_with(as_alice, "notes:write")).content == first.content
        for other in (
            as_alice,
            client_with(as_alice, "notes:append"),
            client_with(as_alice, "notes:read"),
            client_with(as_alice, "notes:write", category="Work"),
        ):
            answer = post(other)
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert Note.objects.count() == 1

    def test_a_token_without_the_scope_is_refused_as_ever(self, as_alice):
        answer = post(client_with(as_alice, "notes:read"))
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")

    def test_a_revoked_token_is_told_nothing(self, as_alice):
        writer = client_with(as_alice, "notes:write")
        post(writer)
        PersonalAccessToken.objects.all().delete()
        assert post(writer).status_code == 401


@pytest.mark.django_db
class TestRefusals:
    def test_a_refused_request_may_be_mended(self, as_alice):
        assert post(as_alice, body={"title": "x" * 201}).status_code == 400
        assert not IdempotencyKey.objects.exists()
        assert post(as_alice, body={"title": "x"}).status_code == 201

    def test_a_body_that_is_too_large(self, as_alice, settings):
        body = {"content": "x" * settings.MAX_JSON_BYTES}
        answer = post(as_alice, body=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    @pytest.mark.parametrize("error", [RuntimeError("bug"), OperationalError("gone")])
    def test_a_failure_leaves_nothing(self, as_alice, monkeypatch, error):
        with monkeypatch.context() as patched:
            patched.setattr("notes.api.notes.NoteViewSet.note_json", raising(error))
            failed = post(as_alice)
        assert failed.status_code == (503 if isinstance(error, OperationalError) else 500)
        assert failed.headers["Content-Type"] == "application/problem+json"
        assert not Note.objects.exists()
        assert not IdempotencyKey.objects.exists()
        assert post(as_alice).status_code == 201

    @pytest.mark.parametrize("where", ["find", "store", "lock"])
    def test_a_database_that_is_gone_is_503(self, as_alice, monkeypatch, where):
        with monkeypatch.context() as patched:
            gone = raising(OperationalError("secret host"))
            patched.setattr(f"accounts.idempotency.KeptAnswer.{where}", gone)
            failed = post(as_alice)
        assert (failed.status_code, failed.headers["Retry-After"]) == (503, "5")
        assert not Note.objects.exists()
        assert post(as_alice).status_code == 201

    def test_a_request_under_way_is_409(self, as_alice, monkeypatch):
        busy = raising(idempotency.RequestInProgress())
        monkeypatch.setattr("accounts.idempotency.KeptAnswer.lock", busy)
        answer = post(as_alice)
        assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
        assert answer.headers["Retry-After"] == "1"


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


@pytest.mark.django_db(transaction=True)
def test_an_owner_who_is_deleted_before_the_commit_is_409(as_alice, alice, monkeypatch):
    """Foreign keys are checked at the commit, which is now after the view."""
    store = idempotency.KeptAnswer.store

    def delete_first(kept, answer, now):
        store(kept, answer, now)
        IdempotencyKey.objects.update(user_id=alice.pk + 1)

    monkeypatch.setattr(idempotency.KeptAnswer, "store", delete_first)
    answer = post(as_alice)
    assert (answer.status_code, answer.json()["code"]) == (409, "gone")
    assert not Note.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestLimits:
    @pytest.fixture(autouse=True)
    def on(self, settings):
        settings.RATE_LIMITS = True

    @pytest.mark.parametrize("keys", ["always this", "number {}"])
    def test_a_key_buys_no_guess_at_the_password(self, as_alice, keys):
        answers = [
            post(as_alice, TOKENS, new_token(password="wrong"), key=keys.format(number))
            for number in range(12)
        ]
        assert [answer.status_code for answer in answers] == [403] * 10 + [429] * 2
        assert post(as_alice, TOKENS, new_token(), key="right").status_code == 429
        assert not PersonalAccessToken.objects.exists()
        assert Attempts.objects.get().used == 10

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (RuntimeError("bug"), 500),
            (OperationalError("gone"), 503),
            (IntegrityError, 400),
            (DataError, 400),
        ],
    )
    def test_what_is_rolled_back_has_counted(self, as_alice, monkeypatch, error, status):
        def fail(**kwargs):
            # Outside of a block of its own: nothing can be committed then.
            if error is IntegrityError:
                make_user("alice")
            if error is DataError and connection.vendor == "postgresql":
                connection.cursor().execute("SELECT 1 / 0")
            raise error

        monkeypatch.setattr(tokens, "create_token", fail)
        for number in range(3):
            assert post(as_alice, TOKENS, new_token(), key=str(number)).status_code == status
        assert Attempts.objects.get().used == 3
        assert User.objects.count() == 1
        assert not IdempotencyKey.objects.exists()

    def test_a_commit_that_fails_has_counted(self, as_alice, monkeypatch):
        for password in ("wrong", PASSWORD):
            with monkeypatch.context() as patched:
                patched.setattr(connection, "commit", raising(OperationalError("gone")))
                failed = post(as_alice, TOKENS, new_token(password=password))
            assert (failed.status_code, failed.headers["Retry-After"]) == (503, "5")
        assert Attempts.objects.get().used == 2
        assert not PersonalAccessToken.objects.exists()
        assert not IdempotencyKey.objects.exists()
        assert post(as_alice, TOKENS, new_token()).status_code == 201

    def test_every_request_counts_once_in_general(self, as_alice, settings):
        settings.LIMITS = {**settings.LIMITS, "api": [("account", 5, 60)]}
        settings.REDIS_URL = ""
        left = [post(as_alice).headers["RateLimit-Remaining"] for _ in range(5)]
        assert left == ["4", "3", "2", "1", "0"]
        refused = post(as_alice)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) >= 1
        assert Note.objects.count() == 1


@pytest.mark.django_db
class TestSecrets:
    def test_the_row_tells_nothing(self, as_alice):
        answer = post(as_alice, TOKENS, new_token(name="a token of mine"), key="a key of mine")
        row = IdempotencyKey.objects.values().get()
        stored = " ".join(f"{value!r} {bytes(row['answer'])!r}" for value in row.values())
        for secret in (answer.json()["token"], "a key of mine", "a token of mine"):
            assert secret not in stored
        again = post(as_alice, TOKENS, new_token(name="a token of mine"), key="a key of mine")
        assert again.json()["token"] == answer.json()["token"]
        assert PersonalAccessToken.objects.count() == 1

    def test_whoever_tries_out_passwords_needs_the_key_and_ours(self, as_alice, settings):
        prints, digests = set(), set()
        for secret_key, key in (("a" * 50, "k"), ("a" * 50, "l"), ("b" * 50, "k")):
            settings.SECRET_KEY = secret_key
            settings.SECRET_KEY_FALLBACKS = []
            assert post(as_alice, key=key).status_code == 201
        for row in IdempotencyKey.objects.all():
            prints.add(row.fingerprint)
            digests.add(row.digest)
        assert (len(prints), len(digests)) == (3, 3)

    def test_it_outlives_a_change_of_the_secret_key(self, as_alice, settings):
        first, before = post(as_alice), settings.SECRET_KEY
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [before]
        assert post(as_alice).content == first.content
        assert post(as_alice, body={"title": "other"}).status_code == 422
        settings.SECRET_KEY_FALLBACKS = []
        assert post(as_alice).json()["id"] != first.json()["id"]


@pytest.mark.django_db
def test_old_keys_are_forgotten_in_batches(alice, monkeypatch):
    monkeypatch.setattr(idempotency, "BATCH", 3)
    now = timezone.now()
    for hours in range(22, 30):
        IdempotencyKey.objects.create(
            user=alice, digest=str(hours), fingerprint="", status=201, answer=b"",
            created_at=now - dt.timedelta(hours=hours),
        )  # fmt: skip
    assert [idempotency.forget_old() for _ in range(3)] == [True, True, False]
    assert {key.digest for key in IdempotencyKey.objects.all()} == {"22", "23"}


POSTS = [route for (route, verb), row in TABLE.items() if verb == "post" and row != PUBLIC]


@pytest.mark.django_db
@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("prefix", ["/api/v1/", "/"])
def test_every_post_of_the_api_takes_a_key(alice, route, prefix):
    """A log-in of its own each time: some of them end the one that they came by."""
    prefix = prefix_of(route, prefix)
    path = prefix + route
    if "<int:pk>" in route:
        path = prefix + path_to(route, MAKE["notes"](alice))
    body, kind = body_of(route, "post") or {}, "application/json"
    if route in FILES:
        kind = MULTIPART_CONTENT
        body = encode_multipart(BOUNDARY, {FILES[route]: SimpleUploadedFile("g.gif", GIF)})
    elif isinstance(body, bytes):
        kind = "text/vcard"
    else:
        body = json.dumps(body)
    answers = [
        client_of(alice).post(path, body, content_type=kind, HTTP_IDEMPOTENCY_KEY=route)
        for _ in range(1 + (route != "auth/password/change"))
    ]
    if answers[0].status_code < 300:
        assert IdempotencyKey.objects.count() == 1
        for answer in answers[1:]:
            assert answer.headers["Idempotent-Replayed"] == "true"
            assert seen(answer) == seen(answers[0])
    else:
        # A second factor that was not begun, an upload of which nothing came.
        assert answers[0].status_code == 409, answers[0].content
        assert not IdempotencyKey.objects.exists()


def test_no_view_with_a_key_takes_files():
    """Its transaction would wait for the storage; and the upload's own row must be committed."""
    for route, view in walk_views():
        verbs = getattr(view, "actions", None) or dir(view.cls)
        if BearerAuthentication in view.cls.authentication_classes and "post" in verbs:
            asked = view.cls(request=RequestFactory().post("/"))
            takes_files = any(isinstance(each, MultiPartParser) for each in asked.get_parsers())
            assert not takes_files or view.cls.keeps_own_answers, route


# Parallel clients and cut connections, against two worker processes.


def auth(server):
    _, given = new_account(server)
    return {"Authorization": f"Bearer {given['access_token']}"}


def count(server, header):
    return requests.get(f"{server.api}/notes?count=true", headers=header, timeout=60).json()[
        "count"
    ]


@pytest.mark.long
def test_of_twenty_parallel_posts_with_a_key_one_writes(server):
    header, written, busy = auth(server), 0, 0
    url, rounds = f"{server.api}/notes", length(short=10, full=1000)
    with ThreadPoolExecutor(20) as pool, requests.Session() as client:
        client.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=20))
        for _ in range(rounds):
            keyed = {**header, "Idempotency-Key": str(uuid.uuid4())}
            body = {"title": secrets.token_hex(8)}

            def send(_, keyed=keyed, body=body):
                return client.post(url, json=body, headers=keyed, timeout=60)

            answers = list(pool.map(send, range(20)))
            late = [answer for answer in answers if answer.status_code != 201]
            assert {(each.status_code, each.json()["code"]) for each in late} <= {
                (409, "request_in_progress")
            }
            made = {answer.content for answer in answers if answer.status_code == 201}
            assert len(made) == 1
            replayed = sum("Idempotent-Replayed" in answer.headers for answer in answers)
            assert replayed == 20 - len(late) - 1
            for _ in late:
                again = send(None)
                assert (again.status_code, {again.content}) == (201, made)
                assert again.headers["Idempotent-Replayed"] == "true"
            written += 1
            busy += len(late)
    assert count(server, header) == rounds == written
    print(f"{rounds} keys, {20 * rounds} requests, {written} notes, {busy} times 409")  # noqa: T201


def cut_connection(server, header, body):
    """Return a connection on which a new note has been sent, for the caller to close."""
    fields = {**header, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    opened.sendall(f"POST /api/v1/notes HTTP/1.1\r\n{head}\r\n".encode() + body)
    return opened


@pytest.mark.parametrize("read", [0, 1])
def test_a_connection_cut_after_the_commit(server, read):
    header, url = auth(server), f"{server.api}/notes"
    for number in range(10):
        title, key = secrets.token_hex(8), str(uuid.uuid4())
        body = json.dumps({"title": title}).encode()
        keyed = {**header, "Idempotency-Key": key, "Content-Type": "application/json"}
        with cut_connection(server, keyed, body) as cut:
            assert len(cut.recv(read)) == read
        until(lambda number=number: count(server, header) > number, "the note")
        answers = [requests.post(url, body, headers=keyed, timeout=60) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert [answer.headers["Idempotent-Replayed"] for answer in answers] == ["true", "true"]
        assert answers[0].content == answers[1].content
        assert answers[0].json()["title"] == title
        assert count(server, header) == number + 1


def test_sent_again_at_once_over_a_cut_connection(server):
    """Without waiting: the first may be under way, or not even be read."""
    header, url = auth(server), f"{server.api}/notes"
    for number in range(10):
        key, body = str(uuid.uuid4()), b'{"title": "t"}'
        keyed = {**header, "Idempotency-Key": key, "Content-Type": "application/json"}
        cut_connection(server, keyed, body).close()
        answer = requests.post(url, body, headers=keyed, timeout=60)
        while answer.status_code == 409:
            answer = requests.post(url, body, headers=keyed, timeout=60)
        assert answer.status_code == 201
        assert requests.post(url, body, headers=keyed, timeout=60).content == answer.content
        assert count(server, header) == number + 1
