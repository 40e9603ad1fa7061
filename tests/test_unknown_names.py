"""What a request holds and nobody knows is refused by name, on every route."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_file

from tests.routes import FILES, GIF, MAKE, QUERIES, TABLE, body_of, path_to, prefix_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
PREFIXES = ("/api/v1/", "/")
# These take no JSON at all: 415.
NO_JSON = [("contacts/import", "post"), ("auth/me/avatar", "delete")]


def addressed(prefix, route, owner):
    """Return the address of a route, for a new thing of the owner's where it names one."""
    prefix = prefix_of(route, prefix)
    if "<" not in route:
        return prefix + route
    return prefix + path_to(route, MAKE[route.partition("/<")[0]](owner))


def errors_of(response):
    """Return the codes by the names of the fields."""
    assert response.status_code == 400, response.content
    return {error["field"]: error["code"] for error in response.json()["errors"]}


@pytest.mark.parametrize(("route", "verb"), TABLE)
def test_an_unknown_parameter(alice, as_alice, route, verb):
    for prefix in PREFIXES:
        url = addressed(prefix, route, alice) + QUERIES.get(route, "?")
        response = getattr(as_alice, verb)(f"{url}&permenentt=1", format="json")
        assert errors_of(response) == {"permenentt": "unknown_parameter"}


@pytest.mark.parametrize(
    ("route", "verb"),
    [(route, verb) for route, verb in TABLE if verb != "get" and (route, verb) not in NO_JSON],
)
def test_an_unknown_member(alice, as_alice, route, verb):
    for prefix in PREFIXES:
        url = addressed(prefix, route, alice)
        body, options = {**(body_of(route, verb) or {}), "zzz": 1}, {"format": "json"}
        if route in FILES and verb in ("put", "post"):
            body = {FILES[route]: SimpleUploadedFile("g.gif", GIF), "zzz": "1"}
            options = {"format": "multipart"}
        response = getattr(as_alice, verb)(url, body, **options)
        assert errors_of(response)["zzz"] == "unknown_field"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("contnet", "content"), ("isFavorite", "is_favorite"), ("Title", "title"), ("tag", "tags")],
)
def test_what_was_meant_is_said(as_alice, name, meant):
    response = as_alice.post(NOTES, {"title": "t", name: "x"}, format="json")
    (error,) = response.json()["errors"]
    assert (error["field"], error["code"]) == (name, "unknown_field")
    assert f"Is '{meant}' meant?" in error["detail"]


def test_without_one_that_is_near_all_are_said(as_alice):
    response = as_alice.post(NOTES, {"title": "t", "body": "my text"}, format="json")
    (error,) = response.json()["errors"]
    assert "category, content, is_archived, is_favorite, tags, title" in error["detail"]
    assert as_alice.get(NOTES).json()["results"] == []


def test_a_parameter_that_is_sent_twice(as_alice):
    for query in ("?limit=1&limit=2", "?cursor=a&cursor=b", "?favorite=true&favorite=false"):
        name = query[1:].partition("=")[0]
        assert errors_of(as_alice.get(NOTES + query)) == {name: "repeated"}
    assert as_alice.get(f"{NOTES}?tag=a&tag=b").status_code == 200


def test_an_operation_of_sync(as_alice):
    changes = [{"op": "create", "title": "t", "text": "lost"}]
    (result,) = as_alice.post("/api/v1/sync", {"changes": changes}, format="json").json()["results"]
    assert result["status"] == "refused"
    assert result["problem"]["errors"][0]["field"] == "text"


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "flag", "id": 1, "is_favorite": True, "content": "lost"},
        {"op": "delete", "id": 1, "base_version": 1, "title": "lost"},
        {"op": "create", "title": "t", "base_version": 4},
        {"op": "flag", "id": 1, "is_favorite": True, "base_version": 3},
    ],
)
def test_a_member_that_is_of_another_operation(as_alice, entry):
    (result,) = as_alice.post("/api/v1/sync", {"changes": [entry]}, format="json").json()["results"]
    assert result["status"] == "refused"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("edits", {"op": "append", "text": "t", "old": "o"}),
        ("edits", {"op": "toggle_task", "task": 1, "text": "t"}),
        ("bulk", {"op": "archive", "ids": [1], "category": "Work"}),
        ("bulk", {"op": "tag", "ids": [1], "tags": ["a"], "category": "Work"}),
    ],
)
def test_a_member_that_is_of_another_edit(as_alice, path, body):
    note = as_alice.post(NOTES, {"title": "t"}, format="json").json()
    url = f"{NOTES}/bulk" if path == "bulk" else f"{NOTES}/{note['id']}/edits"
    assert "unknown_field" in errors_of(as_alice.post(url, body, format="json")).values()


class TestWhatWasShown:
    """What an answer says may come back."""

    @pytest.mark.parametrize("prefix", PREFIXES)
    @pytest.mark.parametrize("verb", ["put", "patch"])
    def test_a_note(self, as_alice, prefix, verb):
        made = as_alice.post(NOTES, {"title": "t", "content": "c"}, format="json").json()
        file = {"file": SimpleUploadedFile("g.gif", GIF)}
        as_alice.post(f"{NOTES}/{made['id']}/attachments", file, format="multipart")
        url = f"{prefix}notes/{made['id']}"
        note = as_alice.get(url).json()
        response = getattr(as_alice, verb)(url, {**note, "title": "new"}, format="json")
        assert response.status_code == 200, response.content
        assert response.json()["title"] == "new"
        written = response.json()
        times = {"updated_at": written["updated_at"].replace("Z", "+00:00")}
        response = getattr(as_alice, verb)(url, {**written, **times, "content": ""}, format="json")
        assert response.status_code == 200, response.content

    @pytest.mark.parametrize(
        "change",
        [
            {"id": 99},
            {"version": 9},
            {"created_at": "2020-01-01T00:00:00Z"},
            {"attachments": [{"id": 1}]},
            {"trashed_at": "2020-01-01T00:00:00Z"},
        ],
    )
    def test_what_would_change_something_is_refused(self, as_alice, change):
        note = as_alice.post(NOTES, {"title": "t", "content": "c"}, format="json").json()
        url = f"{NOTES}/{note['id']}"
        body = {**note, "title": "new", **change}
        assert errors_of(as_alice.put(url, body, format="json")) == dict.fromkeys(
            change, "read_only"
        )
        assert as_alice.get(url).json() == note

    def test_with_if_match_the_precondition_decides(self, as_alice):
        note = as_alice.post(NOTES, {"title": "t", "content": "one\n"}, format="json").json()
        url = f"{NOTES}/{note['id']}"
        as_alice.get(url)  # so that the history keeps this version
        as_alice.patch(url, {"content": "one\ntwo\n"}, format="json", HTTP_IF_MATCH="*")
        stale = {**note, "title": "new"}
        assert as_alice.put(url, stale, format="json", HTTP_IF_MATCH='"1"').status_code == 412
        merged = as_alice.put(url, stale, format="json", HTTP_IF_MATCH='"1"', HTTP_PREFER="merge")
        assert merged.status_code == 200, merged.content
        assert merged.json()["content"] == "one\ntwo\n"
        again = as_alice.put(url, merged.json(), format="json", HTTP_IF_MATCH=merged["ETag"])
        assert again.status_code == 200

    def test_the_account_a_contact_a_search_a_file_and_a_revision(self, alice, as_alice):
        me = as_alice.get("/api/v1/auth/me").json()
        changed = as_alice.patch("/api/v1/auth/me", {**me, "full_name": "A"}, format="json")
        assert changed.status_code == 200, changed.content
        bad = as_alice.patch("/api/v1/auth/me", {"email": "b@example.org"}, format="json")
        assert errors_of(bad) == {"email": "read_only"}
        contact = as_alice.post("/api/v1/contacts", {"first_name": "f"}, format="json").json()
        url = f"/api/v1/contacts/{contact['id']}"
        for verb in (as_alice.put, as_alice.patch):
            shown = as_alice.get(url).json()
            assert verb(url, {**shown, "last_name": "l"}, format="json").status_code == 200
        search = as_alice.post("/api/v1/searches", {"name": "n", "query": "q"}, format="json")
        url = f"/api/v1/searches/{search.json()['id']}"
        assert as_alice.patch(url, search.json(), format="json").status_code == 200
        note = as_alice.post(NOTES, {"title": "t"}, format="json").json()
        file = {"file": SimpleUploadedFile("g.gif", GIF)}
        files = f"{NOTES}/{note['id']}/attachments"
        added = as_alice.post(files, file, format="multipart").json()
        renamed = as_alice.patch(f"{files}/{added['id']}", {**added, "name": "n"}, format="json")
        assert renamed.status_code == 200, renamed.content
        revisions = f"{NOTES}/{note['id']}/revisions"
        revision = as_alice.get(revisions).json()["results"][0]
        url = f"{revisions}/{revision['version']}"
        pinned = as_alice.patch(url, {**revision, "pinned": True}, format="json")
        assert pinned.status_code == 200, pinned.content


class TestNull:
    """null where nothing can be null is as if the member were not sent."""

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_of_an_optional_member(self, as_alice, prefix):
        body = {"title": "t", "content": None, "category": None, "tags": None, "is_favorite": None}
        made = as_alice.post(f"{prefix}notes", body, format="json")
        assert made.status_code == 201, made.content
        url = f"{prefix}notes/{made.json()['id']}"
        as_alice.patch(url, {"content": "kept", "tags": ["kept"]}, format="json")
        same = as_alice.patch(url, {"title": None, "content": None, "tags": None}, format="json")
        assert (same.json()["content"], same.json()["tags"]) == ("kept", ["kept"])
        assert errors_of(as_alice.put(url, {"title": "t", "content": None}, format="json"))


class TestForms:
    """Every part of a form is used, or the form is refused."""

    @pytest.mark.parametrize(
        ("verb", "path"), [("post", "attachments"), ("put", "file"), ("put", "attachments/{}")]
    )
    def test_two_files(self, as_alice, stored_keys, verb, path):
        note = as_alice.post(NOTES, {"title": "t"}, format="json").json()
        files = f"{NOTES}/{note['id']}/attachments"
        file = {"file": SimpleUploadedFile("g.gif", GIF)}
        added = as_alice.post(files, file, format="multipart").json()
        url = f"{NOTES}/{note['id']}/{path.format(added['id'])}"
        for names in (("file", "file"), ("file", "other"), ("other", "file")):
            before = stored_keys()
            parts = [(name, SimpleUploadedFile(f"{n}.txt", b"x")) for n, name in enumerate(names)]
            response = getattr(as_alice, verb)(
                url, multipart(parts), content_type=MULTIPART_CONTENT
            )
            name, code = (
                ("file", "repeated") if "other" not in names else ("other", "unknown_field")
            )
            assert errors_of(response) == {name: code}
            assert stored_keys() == before

    def test_two_pictures(self, as_alice):
        parts = [("avatar", SimpleUploadedFile("g.gif", GIF)) for _ in range(2)]
        response = as_alice.put(
            "/api/v1/auth/me/avatar", multipart(parts), content_type=MULTIPART_CONTENT
        )
        assert errors_of(response) == {"avatar": "repeated"}


def multipart(parts):
    """Return body and options of a request with a form, whose names may occur twice."""
    lines = [line for name, file in parts for line in encode_file(BOUNDARY, name, file)]
    return b"\r\n".join([*lines, f"--{BOUNDARY}--".encode(), b""])
