"""Both paths give the same answers, the fast one to what it should."""

import io
import itertools
import json
import time

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import jwt
from accounts.models import Session
from cloudnotes.fastpath import dispatch, views
from notes.models import Note
from tests.conftest import PASSWORD, client_of, make_user
from tests.notes.texts import ODD

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
WHOLE = {"title": "x", "content": "x"}
ORIGIN = "https://app.example.org"


@pytest.fixture(autouse=True, params=[0, 1, 654_321])
def still(request, monkeypatch):
    """Let time stand still, so that two answers to one question can be the same bytes."""
    now, seconds = timezone.now().replace(microsecond=request.param), time.time()
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr(time, "time", lambda: seconds)


@pytest.fixture
def notes(as_alice, alice, settings):
    """Notes of all kinds, by what is special about them, of which readers know."""
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    found = {}
    contents = {"plain": "Text", "odd": ODD, "empty": "", "file": "x", "trash": "x"}
    contents["large"] = "é" * 2**15 + "x"
    for name, content in contents.items():
        body = {"title": f"{name} {ODD}", "content": content}
        found[name] = as_alice.post(NOTES, body, format="json").json()["id"]
    filed = {"category": "Work/Plans", "tags": ["ä", "b c"], "is_favorite": True}
    filed = as_alice.post(NOTES, {"title": "w", **filed}, format="json").json()
    found["filed"] = filed["id"]
    file = io.BytesIO(b"bytes")
    file.name = "naïve \u2028.txt"
    as_alice.put(f"{NOTES}/{found['file']}/file", {"file": file}, format="multipart")
    as_alice.delete(f"{NOTES}/{found['trash']}")
    for number in range(45):
        as_alice.post(NOTES, {"title": str(number)}, format="json")
    Note.objects.update(state_given=True)
    carol = client_of(make_user("carol"))
    found["foreign"] = carol.post(NOTES, {"title": "x"}, format="json").json()["id"]
    found["none"] = 2**62
    return found


class Both:
    """Asks on both paths, undoing what the first one did, and compares."""

    def __init__(self, settings, taken):
        self.settings, self.taken = settings, taken

    def ask(self, client, method, url, body=None, **headers):
        """Return the answer, and whether the fast path gave it."""
        content_type = headers.pop("content_type", "application/json")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        sent = {"HTTP_X_REQUEST_ID": "same", **headers}
        if body is not None:
            sent |= {"data": body, "content_type": content_type}
        answers, made = [], Note.objects.order_by("-pk").values_list("pk", flat=True)[0] + 1
        self.taken.clear()
        for self.settings.FAST_PATH in (True, False):
            with transaction.atomic():
                answer = client.generic(method, url, **sent)
                rows = list(Note.objects.order_by("pk").values())
                transaction.set_rollback(True)
            told = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status_code == 304:
                told.pop("content-length", None)  # the server drops it (tests below)
            told.pop("ratelimit-remaining", None)
            told.pop("ratelimit-reset", None)
            new = str(rows[-1]["id"]) if rows[-1]["id"] >= made else "none"
            rows = [{**row, "id": "new" if str(row["id"]) == new else row["id"]} for row in rows]
            content = answer.content.replace(f'"id":{new},'.encode(), b'"id":0,')
            if answer.status_code == 201:  # the next id can be a digit longer
                told["content-length"] = str(int(told["content-length"]) - len(new))
            told["location"] = told.get("location", "").replace(f"/{new}", "/new")
            told["etag"] = told.get("etag", "")
            answers.append((answer.status_code, told, content, rows))
        assert answers[0] == answers[1]
        return answer, bool(self.taken)


@pytest.fixture
def both(settings, fast_path):
    return Both(settings, fast_path)


def test_what_takes_the_fast_road(both, as_alice, notes):
    plain, listed = f"{NOTES}/{notes['plain']}", as_alice.get(NOTES)
    second = listed.json()["next"]
    for method, url, body, headers, status in [
        ("GET", NOTES, None, {}, 200),
        ("GET", f"{NOTES}?limit=3", None, {}, 200),
        ("GET", f"{NOTES}?cursor={second}", None, {}, 200),
        ("GET", f"{NOTES}?limit=20&cursor={second}", None, {}, 200),
        ("GET", NOTES, None, {"HTTP_IF_NONE_MATCH": listed.headers["ETag"]}, 304),
        ("GET", NOTES, None, {"HTTP_IF_NONE_MATCH": '"other"'}, 200),
        ("GET", NOTES, None, {"HTTP_ORIGIN": ORIGIN}, 200),
        ("GET", plain, None, {}, 200),
        ("GET", plain, None, {"HTTP_ACCEPT": "text/html", "HTTP_RANGE": "bytes=0-1"}, 200),
        ("GET", plain, None, {"HTTP_IF_NONE_MATCH": 'W/"1"'}, 304),
        ("GET", plain, None, {"HTTP_IF_NONE_MATCH": '"2"'}, 200),
        ("GET", plain, None, {"HTTP_IF_NONE_MATCH": "*", "HTTP_ORIGIN": ORIGIN}, 304),
        ("GET", f"{NOTES}/{notes['odd']}", None, {}, 200),
        ("GET", f"{NOTES}/{notes['empty']}", None, {}, 200),
        ("GET", f"{NOTES}/{notes['file']}", None, {}, 200),
        ("POST", NOTES, {"title": ODD, "content": ODD}, {}, 201),
        ("POST", NOTES, {"title": ""}, {"HTTP_ORIGIN": ORIGIN}, 201),
        ("PUT", plain, {"title": "n", "content": ODD}, {}, 200),
        ("PUT", plain, {"title": "n", "content": ""}, {"HTTP_IF_MATCH": '"1"'}, 200),
        ("PUT", plain, {"title": "n", "content": "n"}, {"HTTP_IF_MATCH": "*"}, 200),
        ("PATCH", plain, {"content": "n"}, {"HTTP_IF_MATCH": '"9", "1"'}, 200),
        ("PATCH", f"{NOTES}/{notes['file']}", {"title": "n"}, {}, 200),
    ]:
        answer, was_fast = both.ask(as_alice, method, url, body, **headers)
        assert (answer.status_code, was_fast) == (status, True), (method, url, headers)


def test_what_leaves_it(both, as_alice, notes, settings):
    plain = f"{NOTES}/{notes['plain']}"
    before_large = as_alice.get(f"{NOTES}?limit=30").json()["next"]
    for method, url, body, headers, status in [
        ("GET", f"{NOTES}/{notes['foreign']}", None, {}, 404),
        ("GET", f"{NOTES}/{notes['none']}", None, {}, 404),
        ("GET", f"{NOTES}/{notes['trash']}", None, {}, 404),
        ("GET", f"{NOTES}/0{notes['plain']}", None, {"HTTP_COOKIE": "a=b"}, 200),
        ("GET", f"{NOTES}/{10**30}", None, {}, 404),
        ("GET", f"{NOTES}?limit=0", None, {}, 400),
        ("GET", f"{NOTES}?limit=200", None, {}, 200),
        ("GET", f"{NOTES}?limit=2&limit=3", None, {}, 400),
        ("GET", f"{NOTES}?cursor=tampered", None, {}, 400),
        ("GET", f"{NOTES}?count=true", None, {}, 200),
        ("GET", f"{NOTES}?trashed=true", None, {}, 200),
        ("GET", f"{NOTES}?&", None, {}, 200),
        ("GET", f"{NOTES}/{notes['large']}", None, {}, 200),
        ("GET", f"{NOTES}?cursor={before_large}", None, {}, 200),
        ("GET", plain, None, {"HTTP_HOST": "evil.example.org"}, 400),
        ("GET", plain, None, {"HTTP_ORIGIN": "https://evil.example.org"}, 200),
        ("GET", plain, None, {"HTTP_COOKIE": 'a="\\000"'}, 400),
        ("HEAD", plain, None, {}, 200),
        ("OPTIONS", plain, None, {}, 200),
        ("POST", NOTES, b"{", {}, 400),
        ("POST", NOTES, b"", {}, 400),
        ("POST", NOTES, b'{"title":"a","title":"b"}', {}, 400),
        ("POST", NOTES, b'{"title":"\\ud800"}', {}, 400),
        ("POST", NOTES, b'{"title":"\\u0000"}', {}, 400),
        ("POST", NOTES, b'{"title":"\xff"}', {}, 400),
        ("POST", NOTES, b"[]", {}, 400),
        ("POST", NOTES, {"title": 1}, {}, 400),
        ("POST", NOTES, {"title": None}, {}, 400),
        ("POST", NOTES, {"title": "x" * 201}, {}, 400),
        ("POST", NOTES, {"content": "x"}, {}, 201),
        ("POST", NOTES, {"title": "x", "content": None}, {}, 201),
        ("POST", NOTES, {"title": "x", "content": "é" * 2**19 + "x"}, {}, 400),
        ("POST", NOTES, {"title": "x", "category": "Work"}, {}, 201),
        ("POST", NOTES, {"title": "x", "version": 7}, {}, 400),
        ("POST", NOTES, {"title": "x"}, {"content_type": "text/plain"}, 415),
        ("POST", NOTES, {"title": "x"}, {"HTTP_IDEMPOTENCY_KEY": "k"}, 201),
        ("POST", f"{NOTES}?x=1", {"title": "x"}, {}, 400),
        ("PUT", plain, {"content": "x"}, {}, 400),
        ("PUT", plain, {"title": "x"}, {}, 400),
        ("PUT", f"{plain}?x=1", WHOLE, {}, 400),
        ("PUT", plain, WHOLE, {"HTTP_IF_MATCH": '"7"'}, 412),
        ("PUT", plain, WHOLE, {"HTTP_IF_MATCH": ""}, 412),
        ("PUT", plain, WHOLE, {"HTTP_IF_NONE_MATCH": "*"}, 412),
        ("PUT", plain, WHOLE, {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": '"1"'}, 200),
        ("PATCH", f"{NOTES}/{notes['foreign']}", {"title": "x"}, {}, 404),
        ("PATCH", f"{NOTES}/{notes['trash']}", {"title": "x"}, {}, 404),
        ("PUT", f"{NOTES}/{notes['large']}", WHOLE, {}, 200),
        ("PATCH", plain, {}, {}, 200),
        ("DELETE", plain, None, {}, 204),
    ]:
        answer, was_fast = both.ask(as_alice, method, url, body, **headers)
        about = (method, url, headers)
        assert (answer.status_code, was_fast and status != 412) == (status, False), about


def test_searches(both, as_alice, notes):
    search = "/api/v1/search"
    as_alice.get(f"{search}?q=x")  # which indexes all of it
    page = as_alice.get(f"{search}?q=paragraph+-large&limit=2").json()
    assert len(page["results"]) == 2
    for query, is_fast, status in [
        ("q=text", True, 200),
        ("q=paragraph+-large", True, 200),
        (f"q=paragraph+-large&limit=2&cursor={page['next']}", True, 200),
        ("q=%C3%A9+OR+-title:large+-large", True, 200),
        ("q=tag:%C3%A4%20in:work/plans", True, 200),
        ("q=is:favorite", True, 200),
        ("q=has:file+-is:archived", True, 200),
        ("q=missing", False, 200),
        ("q=is:trashed", False, 200),
        ("q=%22two+words%22", False, 200),
        ("q=line+before:2999-01-01", False, 200),
        ("q=large", False, 200),
        ("q=x&limit=50", False, 200),
        ("q=%00x", False, 400),
        ("q=%ff", False, 200),
        ("q=x&q=text", False, 400),
        ("limit=2&q=text", False, 200),
        ("q=", False, 400),
        ("q=OR", False, 200),
        ("q=is:y", False, 400),
        ("q=x&cursor=x", False, 400),
        ("q=x&unknown=1", False, 400),
    ]:
        answer, was_fast = both.ask(as_alice, "GET", f"{search}?{query}")
        assert (answer.status_code, was_fast) == (status, is_fast), query
        if is_fast:
            assert answer.json()["results"], query
    as_alice.post(NOTES, {"title": "text again"}, format="json")
    answer, was_fast = both.ask(as_alice, "GET", f"{search}?q=text")
    assert (len(answer.json()["results"]), was_fast) == (2, False)


def test_accounts_that_require_if_match(both, alice, as_alice, notes):
    alice.require_if_match = True
    alice.save(update_fields=["require_if_match"])
    plain = f"{NOTES}/{notes['plain']}"
    assert both.ask(as_alice, "PUT", plain, WHOLE)[0].status_code == 428
    answer, was_fast = both.ask(as_alice, "PUT", plain, WHOLE, HTTP_IF_MATCH='"1"')
    assert (answer.status_code, was_fast) == (200, True)


@pytest.mark.parametrize(
    ("scopes", "category"),
    [
        *itertools.product(
            ["notes:read", "notes:write", "notes:append", "account:read"], ["", "Work"]
        )
    ],
)
def test_personal_access_tokens(both, as_alice, notes, scopes, category):
    body = {"name": "x", "scopes": [scopes], "category": category, "password": PASSWORD}
    made = as_alice.post("/api/v1/auth/tokens", body, format="json").json()
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    client.get(NOTES)  # the first use is written down, on the Django path
    plain = f"{NOTES}/{notes['plain']}"
    for method, url, sent, needs in [
        ("GET", NOTES, None, {"notes:read", "notes:write"}),
        ("GET", plain, None, {"notes:read", "notes:write"}),
        ("POST", NOTES, {"title": "x"}, {"notes:append", "notes:write"}),
        ("PATCH", plain, {"title": "x"}, {"notes:write"}),
    ]:
        answer, was_fast = both.ask(client, method, url, sent)
        assert was_fast == (scopes in needs and not category), (method, url)
        assert (answer.status_code == 403) == (scopes not in needs)


def test_bad_credentials(both, alice, notes):
    good = client_of(alice)._credentials["HTTP_AUTHORIZATION"]
    for header in [
        "",
        "Bearer",
        "Bearer x",
        "Basic x",
        f"{good}x",
        f"{good},{good}",
        "Bearer cn_x",
    ]:
        client = client_of(None)
        client.credentials(HTTP_AUTHORIZATION=header)
        answer, was_fast = both.ask(client, "GET", NOTES)
        assert (answer.status_code, was_fast) == (401, False)
    lower = client_of(None)
    lower.credentials(HTTP_AUTHORIZATION=good.replace("Bearer ", "bearer  "))
    assert both.ask(lower, "GET", NOTES)[1]


def test_a_revoked_session_and_a_disabled_user_are_refused_at_once(
    as_alice, alice, notes, fast_path
):
    assert as_alice.get(NOTES).status_code == 200
    assert fast_path
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    assert as_alice.get(NOTES).status_code == 401
    alice.is_active = True
    alice.save(update_fields=["is_active"])
    assert as_alice.get(NOTES).status_code == 200
    Session.objects.filter(user=alice).update(revoked_at=timezone.now(), revoked_reason="logout")
    assert as_alice.get(NOTES).status_code == 401


def test_a_remembered_token_expires(alice, monkeypatch):
    header = client_of(alice)._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    assert jwt.read_access_token(header).user_id == alice.pk
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jwt.access_lifetime() + 29)
    assert jwt.read_access_token(header).user_id == alice.pk  # within the leeway
    monkeypatch.setattr(time, "time", lambda: now + jwt.access_lifetime() + 31)
    with pytest.raises(jwt.InvalidToken):
        jwt.read_access_token(header)


def test_a_body_that_lies_on_disk_is_for_the_plain_road_and_counts_once(
    as_alice, notes, settings, fast_path
):
    settings.RATE_LIMITS = True
    settings.LIMITS = {**settings.LIMITS, "api": [("account", 10_000, 60)]}
    before = int(as_alice.get(NOTES).headers["RateLimit-Remaining"])
    fast_path.clear()
    answer = as_alice.post(NOTES, {"title": "x", "content": "y" * 2**20}, format="json")
    assert (answer.status_code, fast_path) == (201, [])
    assert int(answer.headers["RateLimit-Remaining"]) == before - 1


def test_requests_count_once_on_either_road(as_alice, alice, notes, settings):
    settings.RATE_LIMITS = True
    settings.LIMITS = {**settings.LIMITS, "api": [("account", 10_000, 60)]}
    left = []
    for url in (NOTES, f"{NOTES}/{notes['none']}", f"{NOTES}?count=true", f"{NOTES}?limit=2"):
        left.append(int(as_alice.get(url).headers["RateLimit-Remaining"]))
    assert left == list(range(left[0], left[0] - 4, -1))
    settings.LIMITS = {**settings.LIMITS, "api": [("account", 1, 60)]}
    as_alice.get(NOTES)
    refused = as_alice.post(NOTES, {"title": "too many"}, format="json")
    assert refused.status_code == 429
    assert not Note.objects.filter(title="too many").exists()


def test_fresh_states_are_marked_before_they_are_given(both, as_alice, alice, notes):
    fresh = as_alice.post(NOTES, {"title": "x"}, format="json").json()["id"]
    other = client_of(alice)
    for url in (NOTES, f"{NOTES}/{fresh}"):
        assert not both.ask(other, "GET", url)[1]
    other.get(NOTES)
    assert Note.objects.get(pk=fresh).state_given
    assert both.ask(other, "GET", NOTES)[1]


def test_a_write_that_the_database_refuses_is_not_tried_again(
    both, as_alice, notes, monkeypatch, fast_path
):
    tried = []

    def fail(**_):
        tried.append(1)
        raise OperationalError("the connection was lost at the commit")

    for module in ("notes", "single_statement"):
        monkeypatch.setattr(f"notes.actions.{module}.create_note", fail)
    fast_path.clear()
    answer, was_fast = both.ask(as_alice, "POST", NOTES, {"title": "x"})
    assert (answer.status_code, was_fast) == (503, True)
    assert len(tried) == 2  # once on each path
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["code"] == "unavailable"


def test_a_bug_in_a_write_is_not_tried_again(as_alice, notes, monkeypatch, caplog):
    tried = []

    def fail(**_):
        tried.append(1)
        raise RuntimeError("a bug")

    for module in ("notes", "single_statement"):
        monkeypatch.setattr(f"notes.actions.{module}.create_note", fail)
    answer = as_alice.post(NOTES, {"title": "x"}, format="json")
    assert (answer.status_code, answer.json()["code"], len(tried)) == (500, "internal_error", 1)
    assert "The fast path failed on POST /api/v1/notes" in caplog.text


def test_a_bug_in_a_read_leaves_it_to_the_plain_road(as_alice, notes, monkeypatch, caplog):
    monkeypatch.setattr("notes.api.fast.note_json", lambda *_: 1 / 0)
    assert as_alice.get(NOTES).status_code == 200
    assert "The fast path failed on GET /api/v1/notes" in caplog.text


@pytest.mark.parametrize(("seconds", "status"), [(2.0, 200), (0.0, 503)])
def test_the_plain_road_tries_again_where_there_is_time(
    as_alice, notes, monkeypatch, seconds, status
):
    def fail(*_):
        raise OperationalError("the database has gone")

    monkeypatch.setattr("cloudnotes.fastpath.views.Dispatcher.admit", fail)
    monkeypatch.setattr(dispatch, "RETRY_SECONDS", seconds)
    assert as_alice.get(NOTES).status_code == status


def test_no_stranger_fills_the_memory_with_hosts(as_alice, notes):
    known = views._is_ours.cache_info().currsize
    assert as_alice.get(NOTES, HTTP_HOST="a" * 256).status_code == 400
    assert views._is_ours.cache_info().currsize == known


def test_a_tag_is_of_the_key_that_signs_the_cursor(as_alice, notes, settings):
    tag = as_alice.get(NOTES).headers["ETag"]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another" * 9
    assert as_alice.get(NOTES, HTTP_IF_NONE_MATCH=tag).status_code == 200


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_IF_MATCH": st.sampled_from(["", "*", '"1"', '"2", W/"1"', "1", "x", '"99999999999"']),
        "HTTP_IF_NONE_MATCH": st.sampled_from(["", "*", '"1"', '"x"', "1,2"]),
        "HTTP_ORIGIN": st.sampled_from([ORIGIN, "null", "x", "http://[", f"{ORIGIN}:443"]),
        "HTTP_HOST": st.sampled_from(["testserver", "testserver:80", "TESTSERVER", "x y", ""]),
        "HTTP_COOKIE": st.just("a=b"),
        "HTTP_PREFER": st.sampled_from(["merge", "return=minimal"]),
        "HTTP_EXPECT": st.just("100-continue"),
        "HTTP_X_FORWARDED_PROTO": st.sampled_from(["https", "http"]),
        "content_type": st.sampled_from(
            [
                "application/json",
                "application/json; charset=utf-8",
                "APPLICATION/JSON",
                "text/plain",
            ]
        ),
    },
)
VALUES = st.one_of(st.text(max_size=5), st.none(), st.integers(), st.just("x" * 201), st.just(ODD))
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=10),
    st.dictionaries(st.sampled_from(["title", "content", "category", "version"]), VALUES),
)
QUERIES = st.sampled_from(
    [
        "",
        "?",
        "?limit=1",
        "?limit=01",
        "?limit=20",
        "?limit=21",
        "?limit=x",
        "?cursor=",
        "?cursor=a:b",
        "?limit=2&cursor=x",
        "?x=%00",
        "?%6cimit=1",
        "?permanent=maybe",
        "?limit=1&",
        "?limit=%31",
        "?é",
    ]
)


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH"]),
    name=st.sampled_from(["", "plain", "odd", "file", "trash", "foreign", "none"]),
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
)
def test_any_request(both, as_alice, notes, method, name, query, headers, body):
    url = f"{NOTES}/{notes[name]}" if name else NOTES
    both.ask(as_alice, method, url + query, None if method == "GET" else body, **headers)
