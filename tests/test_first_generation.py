"""What clients of the first generation send, with the base address changed and nothing else."""

import datetime as dt

import jwt
import pytest
import requests

from notes.models import Note
from tests.conftest import PASSWORD, make_user
from tests.servers import Server

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("folder", ["", "/auth"])
def test_register_and_log_in(anonymous, folder):
    sent = {"username": "john_doe", "email": "john@example.com", "password": "a long password"}
    made = anonymous.post(f"{folder}/register", sent, format="json")
    assert made.status_code == 201
    assert made.json()["token_type"] == "bearer"
    form = "username=john_doe&password=a+long+password"
    answer = anonymous.post(
        f"{folder}/login", form, content_type="application/x-www-form-urlencoded"
    )
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["username"] == "john_doe"
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    assert anonymous.get("/auth/me").json()["email"] == "john@example.com"
    for path in (
        "/users/me",
        "/users/john_doe",
        "/users/JOHN@example.com",
        f"/users/{claims['sub']}",
    ):
        assert anonymous.get(path).json()["username"] == "john_doe", path
    assert anonymous.get("/users/john_doe").json()["disabled"] is False
    make_user("eve")
    assert anonymous.get("/users/eve").status_code == 404


def test_users_are_created_where_they_are_looked_up(anonymous):
    sent = {"username": "ann", "email": "ann@example.com", "password": "a long password"}
    assert anonymous.post("/users", sent, format="json").status_code == 201
    assert anonymous.get("/users").status_code == 405


class TestItems:
    def test_the_life_of_an_item(self, as_alice, alice, as_carol):
        sent = {"title": "New Item", "description": "..."}
        made = as_alice.post("/items", sent, format="json")
        assert made.status_code == 201
        item = made.json()
        assert {**item, "id": 1} == {
            "id": 1, **sent, "owner": "alice", "created_at": item["created_at"]
        }  # fmt: skip
        assert dt.datetime.fromisoformat(item["created_at"])
        url = f"/items/{item['id']}"
        assert made.headers["Location"] == f"http://testserver{url}"
        assert as_alice.get("/items").json() == [item]
        assert as_alice.get(url).json() == item
        # It is a note like all others.
        note = as_alice.get(f"/api/v1/notes/{item['id']}").json()
        assert (note["title"], note["content"]) == ("New Item", "...")
        changed = as_alice.put(url, {**item, "title": "Other"}, format="json")
        assert changed.json() == {**item, "title": "Other"}
        changed = as_alice.patch(url, {"description": "more"}, format="json")
        assert changed.json() == {**item, "title": "Other", "description": "more"}
        assert as_alice.put(url, {"title": "alone"}, format="json").status_code == 400
        assert as_alice.patch(url, {"owner": "carol"}, format="json").status_code == 400
        for verb in ("get", "put", "patch", "delete"):
            body = {"title": "x", "description": "x"} if verb in ("put", "patch") else None
            assert getattr(as_carol, verb)(url, body, format="json").status_code == 404
        stale = as_alice.patch(url, {"title": "x"}, format="json", HTTP_IF_MATCH='"1"')
        assert stale.status_code == 412
        assert as_alice.delete(url).status_code == 204
        assert as_alice.get("/items").json() == []
        assert Note.objects.get().trashed_at is not None

    def test_pages(self, as_alice):
        ids = [
            as_alice.post("/items", {"title": f"{n}"}, format="json").json()["id"] for n in range(5)
        ]
        for query, expected in (
            ("", ids),
            ("?skip=1&limit=2", ids[1:3]),
            ("?page=2&limit=2", ids[2:4]),
            ("?skip=9", []),
        ):
            assert [item["id"] for item in as_alice.get(f"/items{query}").json()] == expected
        for query in ("?skip=-1", "?limit=0", "?limit=201", "?skip=1&page=1", "?offset=3"):
            assert as_alice.get(f"/items{query}").status_code == 400, query


class TestNotes:
    def test_as_a_plain_list(self, as_alice, as_carol):
        notes = [
            as_alice.post("/notes", {"title": f"{n}", "tags": ["a"]}, format="json").json()
            for n in range(4)
        ]
        newest = notes[::-1]
        for query, expected in (
            ("format=list", newest),
            ("skip=1&limit=2", newest[1:3]),
            ("page=2&limit=3", newest[3:]),
            ("format=list&order=created&tag=a", notes),
            ("format=list&tag=b", []),
        ):
            assert as_alice.get(f"/notes?{query}").json() == expected, query
        titles = as_alice.get("/notes?format=list&fields=title").json()
        assert titles == [{"title": note["title"]} for note in newest]
        assert as_carol.get("/notes?format=list").json() == []
        # The canonical path, and the path without these words, have pages with cursors.
        assert as_alice.get("/notes?limit=1").json()["results"] == newest[:1]
        for query in ("format=list", "skip=1", "page=2"):
            assert as_alice.get(f"/api/v1/notes?{query}").status_code == 400
        for query in ("format=xml", "skip=x", "page=0", "skip=1&page=1", "skip=1&cursor=x"):
            assert as_alice.get(f"/notes?{query}").status_code == 400, query

    def test_long_notes_do_not_fill_one_answer(self, as_alice):
        for _ in range(25):
            as_alice.post("/notes", {"title": "t", "content": "x" * 10**6}, format="json")
        answer = as_alice.get("/notes?format=list&limit=25")
        assert answer.json()["errors"][0]["field"] == "limit"
        assert len(as_alice.get("/notes?format=list&limit=25&exclude=content").json()) == 25

    def test_a_note_whose_title_alone_changes(self, as_alice):
        note = as_alice.post("/notes", {"title": "a", "content": "kept"}, format="json").json()
        changed = as_alice.put(f"/notes/{note['id']}/title", {"title": "b"}, format="json").json()
        assert (changed["title"], changed["content"]) == ("b", "kept")


class TestPathsWithoutAPrefix:
    def test_a_slash_at_the_end(self, as_alice, anonymous):
        note = as_alice.post("/notes/", {"title": "t"}, format="json").json()
        url = f"/notes/{note['id']}/"
        assert as_alice.get(url).json() == note
        assert as_alice.patch(url, {"title": "u"}, format="json").status_code == 200
        assert as_alice.get("/items/").json()[0]["title"] == "u"
        form = f"username=alice&password={PASSWORD}"
        kind = "application/x-www-form-urlencoded"
        assert anonymous.post("/auth/login/", form, content_type=kind).status_code == 200
        assert as_alice.delete(f"{url}?permanent=true").status_code == 204
        for path in ("/nothing/", "/notes//", "//"):
            answer = as_alice.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")

    def test_errors_have_both_names(self, as_alice, anonymous):
        for client, path, status in (
            (anonymous, "/notes", 401),
            (as_alice, "/notes/999", 404),
            (as_alice, "/nothing", 404),
            (as_alice, "/notes?limit=x", 400),
        ):
            answer = client.get(path)
            problem = answer.json()
            assert (answer.status_code, problem["error"]) == (status, problem["detail"])
            assert "error" not in client.get(f"/api/v1{path}").json()
        answer = anonymous.post("/auth/login", {"username": "x", "password": "y"}, format="json")
        assert (answer.status_code, answer.json()["error"]) == (401, answer.json()["detail"])


def test_their_own_checks_and_curl_lines(tmp_path, new_database):
    """Their tests and the first session of their documents, over HTTP."""
    with new_database(tmp_path) as where:
        server = Server(tmp_path, **where)
        server.start()
        health = requests.get(f"{server.url}/health", timeout=30)
        assert health.status_code == 200
        account = {"email": "a@example.com", "password": "a long password"}
        token = requests.post(f"{server.url}/register", json=account, timeout=60).json()
        token = requests.post(f"{server.url}/login", json=account, timeout=60).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        with requests.Session() as client:
            client.headers.update(headers)
            payload = {"title": "TestItem", "description": "9.99"}
            r = client.post(f"{server.url}/items", json=payload, timeout=30)
            assert r.status_code in (200, 201)
            r2 = client.get(f"{server.url}/items", timeout=30)
            assert r2.status_code == 200
            assert any(i["title"] == "TestItem" for i in r2.json())
            note = client.post(f"{server.url}/notes", json={"title": "n"}, timeout=30).json()
            url = f"{server.url}/notes/{note['id']}"
            assert client.put(f"{url}/title", json={"title": "m"}, timeout=30).ok
            file = {"file": ("a.png", b"x")}
            assert client.put(f"{url}/file", files=file, timeout=30).ok
            assert client.get(f"{url}/file", timeout=30).content == b"x"
            assert client.delete(url, timeout=30).status_code == 204
        server.stop()
