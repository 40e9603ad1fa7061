"""Bad input on every write route: never a 5xx, always a problem body, and nothing stored."""

import gzip
import json

import pytest

from notes.models import Note
from tests.cases import failures
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

ROUTES = [
    ("post", "/api/v1/auth/register", {"email": "new@example.org", "password": PASSWORD}),
    ("post", "/api/v1/auth/login", {"username": "alice", "password": PASSWORD}),
    ("post", "/api/v1/auth/refresh", {"refresh_token": "x"}),
    ("patch", "/api/v1/auth/me", {"full_name": "x", "username": "x"}),
    ("delete", "/api/v1/auth/me", {"password": PASSWORD}),
    ("post", "/api/v1/contacts", {"first_name": "f", "email": "f@x.org", "notes": "n"}),
    ("post", "/api/v1/notes", {"title": "t", "content": "c"}),
    ("put", "/api/v1/notes/{id}", {"title": "t", "content": "c"}),
    ("patch", "/api/v1/notes/{id}", {"title": "t", "content": "c"}),
    ("put", "/api/v1/notes/{id}/title", {"title": "t"}),
    ("post", "/api/v1/notes/{id}/edits", {"op": "replace", "old": "kept", "text": "t"}),
    ("post", "/api/v1/notes/bulk", {"op": "move", "ids": [1], "category": "c"}),
    ("post", "/api/v1/rewind", {"to": "2026-01-01T00:00:00Z", "category": "c"}),
]
DEEP = b"[" * 1000 + b"]" * 1000
BODIES = {
    "empty": b"",
    "no JSON": b"{",
    "bad UTF-8": b'{"title":"\xff"}',
    "UTF-16": '{"title":"x"}'.encode("utf-16"),
    "NaN": b'{"title":NaN}',
    "infinity": b'{"title":-Infinity}',
    "1e400": b'{"title":1e400}',
    "5,000 digits": b'{"title":' + b"9" * 5000 + b"}",
    "nesting": b'{"title":' + DEEP + b"}",
    "deep nesting": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "raw control character": b'{"title":"a\x01b"}',
    "a list": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "list of lists": DEEP,
}


def value_bodies(good):
    """Yield bodies in which one field after the other has an unfit value."""
    for name in good:
        for label, value in (
            ("NUL", "a\0b"),
            ("surrogate", "\ud800"),
            ("pair reversed", "\udc00\ud800"),
            ("object", {"a": 1}),
            ("list", ["a"]),
            ("true", True),
            ("1 MB and more", "x" * (2**20 + 1)),
        ):
            yield f"{name}: {label}", json.dumps({**good, name: value}).encode()
        yield f"{name}: twice", json.dumps(good).encode()[:-1] + f', "{name}": "x"}}'.encode()
    for label, name in (("NUL", "a\0"), ("surrogate", "\udfff")):
        yield f"a name with {label}", json.dumps({**good, name: 1}).encode()


@pytest.mark.parametrize(("method", "path", "good"), ROUTES)
def test_bad_json_on_every_write_route(as_alice, alice, method, path, good):
    note = Note.objects.create(owner=alice, title="kept", content="kept")
    url = path.format(id=note.pk)
    bodies = {**BODIES, **dict(value_bodies(good))}
    for label, body in bodies.items():
        response = as_alice.generic(method.upper(), url, body, content_type="application/json")
        if (method, label) == ("patch", "empty"):
            assert response.status_code == 200  # nothing sent, nothing changed
            continue
        assert 400 <= response.status_code < 500, (label, response.status_code)
        assert response.headers["Content-Type"] == "application/problem+json", label
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["detail"].endswith("."), (label, problem["detail"])
        assert problem["request_id"] == response.headers["X-Request-Id"]
    alice.refresh_from_db()
    assert (alice.username, alice.full_name) == ("alice", "Alice")
    assert list(Note.objects.values_list("title", "content", "version")) == [("kept", "kept", 1)]
    assert as_alice.get("/api/v1/notes").status_code == 200


@pytest.mark.parametrize(("method", "path", "good"), ROUTES)
def test_wrong_content_types_are_415(as_alice, alice, method, path, good):
    note = Note.objects.create(owner=alice, title="kept")
    url, body = path.format(id=note.pk), json.dumps(good)

    def check(content_type):
        response = as_alice.generic(method.upper(), url, body, content_type=content_type)
        is_form = url.endswith("/notes") and content_type.startswith("multipart")
        assert response.status_code == (400 if is_form else 415)  # a form, but none that ends
        assert response.headers["Content-Type"] == "application/problem+json"

    wrong = ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "x" * 300]
    assert failures({kind: kind for kind in [*wrong, "a/b/c;;"]}, check) == {}


@pytest.mark.parametrize("charset", ["bz2", "utf-16", "latin-1", "none"])
def test_json_is_utf_8_whatever_the_charset_says(as_alice, charset):
    response = as_alice.post(
        "/api/v1/notes",
        '{"title": "é"}'.encode(),
        content_type=f"application/json; charset={charset}",
    )
    assert response.status_code == 201
    assert response.json()["title"] == "é"


def test_an_oversized_body_is_413(as_alice, settings):
    body = b'{"title": "' + b"x" * settings.MAX_JSON_BYTES + b'"}'
    response = as_alice.post("/api/v1/notes", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"=",
        b"username=alice",
        b"username=%00&password=x",
        b"username=%ff&password=%ff",
        b"username=a&password=x&" + b"&".join(b"f%d=1" % n for n in range(30)),
        b"username=" + b"a" * 70_000,
        b"username=%ed%a0%80&password=x",
    ],
)
@pytest.mark.parametrize("path", ["login", "refresh"])
def test_bad_forms(anonymous, alice, form, path):
    response = anonymous.post(
        f"/api/v1/auth/{path}", form, content_type="application/x-www-form-urlencoded"
    )
    assert 400 <= response.status_code < 500
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ["?limit=%ff", "?count=maybe", "?cursor=" + "%ed%a0%80", "?limit=1&limit=x"],
)
def test_bad_queries(as_alice, query):
    assert as_alice.get(f"/api/v1/notes{query}").status_code == 400


@pytest.mark.parametrize(
    "path", ["/api/v1/notes/%00", "/api/v1/%ff", "/%ED%A0%80", "//", "/a%0d%0ab"]
)
def test_odd_paths_are_problems(anonymous, path):
    response = anonymous.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "127.0.0.1:x", "[::1", "a,b"])
def test_unknown_hosts_are_problems(anonymous, host):
    response = anonymous.get("/api/v1/notes", HTTP_HOST=host)
    assert response.status_code == 400
    assert response.json()["code"] == "unknown_host"


@pytest.mark.parametrize("offered", ["ok-1.2_3", "a b", "x" * 65, "é", "a\r\nb: c", ""])
def test_request_ids_are_taken_over_only_when_well_formed(anonymous, offered):
    response = anonymous.get("/api/v1/notes", HTTP_X_REQUEST_ID=offered)
    given = response.headers["X-Request-Id"]
    assert (given == offered) == (offered == "ok-1.2_3")
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("charset", ["hex", "undefined", "rot13", "base64", "idna", "bz2", "x"])
def test_charsets_are_not_believed(as_alice, alice, charset):
    header = f"text/plain; charset={charset}"
    response = as_alice.get("/api/v1/notes?limit=5", CONTENT_TYPE=header)
    assert response.status_code == 200
    note = Note.objects.create(owner=alice, title="kept")
    header = f"multipart/form-data; boundary=b; charset={charset}"
    response = as_alice.put(f"/api/v1/notes/{note.pk}/file", b"--b--", content_type=header)
    assert response.status_code == 400


def test_a_body_of_many_small_objects_is_refused(as_alice, anonymous):
    body = b'{"title":[' + b'{"":0},' * 20_000 + b"0]}"
    response = as_alice.post("/api/v1/notes", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "parse_error")
    response = anonymous.post("/api/v1/auth/register", body, content_type="application/json")
    assert response.status_code == 413


def test_nul_in_a_query_is_400_everywhere(anonymous):
    for path in ("/api/v1/notes?cursor=%00", "/admin/login/?next=%00", "/docs?x=%00"):
        response = anonymous.get(path)
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/problem+json"


def test_pages_and_links_take_no_other_verb(anonymous):
    for path in ("/docs", "/redoc"):
        assert anonymous.options(path).status_code == 405
        assert anonymous.post(path).status_code == 405


def test_signed_links_are_not_logged(anonymous, caplog):
    caplog.set_level("INFO", "cloudnotes.requests")
    anonymous.get("/files/WyJzZWNyZXQi")
    assert "WyJz" not in caplog.text
    assert "GET /files/… 404" in caplog.text


@pytest.mark.parametrize("prefix", ["/api/v1/", "/"])
@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_packed_bodies_are_415(as_alice, prefix, method):
    note = as_alice.post(f"{prefix}notes", {"title": "t"}, format="json").json()
    url = f"{prefix}notes" if method == "post" else f"{prefix}notes/{note['id']}"
    body = gzip.compress(b'{"title": "packed", "content": "c"}')
    for encoding in ("gzip", "br", "GZIP", "identity, gzip"):
        answer = getattr(as_alice, method)(
            url, body, content_type="application/json", HTTP_CONTENT_ENCODING=encoding
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")
        assert answer.headers["Accept-Encoding"] == "identity"
    plain = getattr(as_alice, method)(
        url, {"title": "t", "content": "c"}, format="json", HTTP_CONTENT_ENCODING="identity"
    )
    assert plain.status_code < 300


@pytest.mark.parametrize("fast", [True, False])
def test_a_byte_order_mark_before_json_is_passed_over(as_alice, settings, fast_path, fast):
    settings.FAST_PATH = fast
    body = b"\xef\xbb\xbf" + b'{"title": "\xef\xbb\xbft"}'
    answer = as_alice.post("/api/v1/notes", body, content_type="application/json")
    assert (answer.status_code, answer.json()["title"]) == (201, "\ufefft")


def test_what_a_list_takes_of_other_clients(as_alice):
    note = as_alice.post("/api/v1/notes", {"title": "t"}, format="json").json()
    at = note["created_at"].lower()
    for query in (
        "created_after=2020-01-01t00:00:00z&favorite=False",
        f"as_of={at}",
        "count=True",
        "subtree=True",
    ):
        assert len(as_alice.get(f"/api/v1/notes?{query}").json()["results"]) == 1, query
    assert as_alice.get("/api/v1/sync?cursor=").json()["changes"][0]["id"] == note["id"]
    answer = as_alice.post("/api/v1/rewind", {"to": at, "dry_run": True}, format="json")
    assert answer.status_code == 200


def test_an_address_that_is_not_there_is_no_lost_note(as_alice):
    note = as_alice.post("/api/v1/notes", {"title": "t"}, format="json").json()
    missing = f"/api/v1/notes/{note['id'] + 1}"
    assert as_alice.get(missing).json()["code"] == "not_found"
    for path in (f"/api/v1/notes/{note['id']}/", "//", "/api/v1//notes", "/api/v1/nothing"):
        answer = as_alice.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
