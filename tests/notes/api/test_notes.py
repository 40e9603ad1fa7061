import datetime as dt
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.callers import Caller
from notes.actions import notes as actions
from notes.models import Change, Feed, Note
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


def create(client, title="Title", content="Text", **more):
    response = client.post(NOTES, {"title": title, "content": content, **more}, format="json")
    assert response.status_code == 201
    return response.json()


def test_create_answers_the_whole_note(as_alice, alice):
    response = as_alice.post(NOTES, {"title": " T ", "content": "# Hi\r\n\ttext \n"}, format="json")
    body = response.json()
    note = Note.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver/api/v1/notes/{note.pk}"
    assert body == {
        "id": note.pk,
        "title": " T ",
        "content": "# Hi\r\n\ttext \n",
        "category": "",
        "tags": [],
        "is_favorite": False,
        "is_archived": False,
        "version": 1,
        "file": None,
        "attachments": [],
        "created_at": note.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updated_at": note.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "trashed_at": None,
    }
    assert note.owner == alice
    assert as_alice.get(f"{NOTES}/{note.pk}").json() == body


def test_server_fields_in_the_body_are_refused_by_name(as_alice, bob):
    sent = {"id": 10**12, "owner": bob.pk, "owner_id": bob.pk, "version": 9, "file": {"name": "x"}}
    response = as_alice.post(NOTES, {"title": "t", **sent}, format="json")
    assert response.status_code == 400
    errors = {error["field"]: error["code"] for error in response.json()["errors"]}
    assert errors == dict.fromkeys(sent, "unknown_field")
    assert not Note.objects.exists()


def test_put_replaces_patch_changes_title_titles(as_alice):
    note = create(as_alice)
    url = f"{NOTES}/{note['id']}"
    titled = as_alice.put(url, {"title": "New"}, format="json")
    assert (titled.status_code, as_alice.get(url).json()) == (400, note)
    replaced = as_alice.put(url, {"title": "New", "content": ""}, format="json")
    assert replaced.json()["content"] == ""
    assert as_alice.patch(url, {"content": "Again"}, format="json").json()["title"] == "New"
    body = as_alice.put(f"{url}/title", {"title": "Newest"}, format="json").json()
    assert (body["title"], body["content"], body["version"]) == ("Newest", "Again", 4)
    assert body["updated_at"] > note["updated_at"]
    assert body["created_at"] == note["created_at"]


def test_a_write_that_changes_nothing_changes_no_version(as_alice):
    note = create(as_alice)
    url = f"{NOTES}/{note['id']}"
    for response in (
        as_alice.patch(url, {}, format="json"),
        as_alice.patch(url, {"title": note["title"]}, format="json"),
        as_alice.put(url, {"title": note["title"], "content": note["content"]}, format="json"),
    ):
        assert response.json() == note


def test_patch_does_not_undo_what_somebody_else_wrote_meanwhile(alice, as_alice):
    note = create(as_alice)
    stale = Note.objects.get()
    client_of(alice).patch(f"{NOTES}/{note['id']}", {"content": "newer"}, format="json")
    actions.update_note(
        note=stale, changes={"title": "x"}, by=Caller(alice), now=dt.datetime.now(dt.UTC)
    )
    after = Note.objects.get()
    assert (after.title, after.content, after.version) == ("x", "newer", 3)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("put", ""),
        ("patch", ""),
        ("delete", ""),
        ("put", "/title"),
        ("get", "/file"),
        ("put", "/file"),
        ("delete", "/file"),
    ],
)
def test_what_a_stranger_may_not_see_is_byte_for_byte_not_there(as_alice, as_carol, method, path):
    note = create(as_alice)
    own_id, no_id = note["id"], note["id"] + 1000
    answers = []
    for pk in (own_id, no_id):
        body = {"put": {"title": "mine now"}, "patch": {"content": ""}}.get(method)
        response = getattr(as_carol, method)(
            f"{NOTES}/{pk}{path}", body, format="json", HTTP_X_REQUEST_ID="same"
        )
        answers.append((response.status_code, response.content))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert as_alice.get(f"{NOTES}/{own_id}").json() == note


def test_limits_of_title_and_content(as_alice):
    assert create(as_alice, title="é" * 200, content="é" * 2**19)
    for body, field in (
        ({"title": "x" * 201}, "title"),
        ({"title": "t", "content": "é" * 2**19 + "x"}, "content"),
        ({"tags": ["no title"]}, "title"),
    ):
        response = as_alice.post(NOTES, body, format="json")
        assert response.status_code == 400
        assert [entry["field"] for entry in response.json()["errors"]] == [field]


def test_a_megabyte_of_escapes_is_a_megabyte(as_alice):
    body = b'{"title":"t","content":"' + b"\\u0041" * 2**20 + b'"}'
    response = as_alice.post(NOTES, body, content_type="application/json")
    assert response.status_code == 201
    assert len(response.json()["content"]) == 2**20


class TestList:
    def test_newest_edit_first_in_pages(self, as_alice, as_carol):
        create(as_carol, title="not alice's")
        ids = [create(as_alice, title=str(number))["id"] for number in range(7)]
        as_alice.patch(f"{NOTES}/{ids[2]}", {"title": "edited"}, format="json")
        expected = [ids[2], *(pk for pk in reversed(ids) if pk != ids[2])]
        seen, url = [], f"{NOTES}?limit=3&count=true"
        while url:
            page = as_alice.get(url).json()
            assert page["count"] == 7
            seen += [note["id"] for note in page["results"]]
            url = page["next"] and f"{NOTES}?limit=3&count=true&cursor={page['next']}"
        assert seen == expected

    def test_pages_do_not_shift_or_repeat_when_times_are_equal(self, as_alice, alice):
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        for number in range(5):
            Note.objects.create(owner=alice, title=str(number), updated_at=moment)
        seen, cursor = [], ""
        for _ in range(5):
            page = as_alice.get(f"{NOTES}?limit=1&cursor={cursor}").json()
            seen += [note["id"] for note in page["results"]]
            cursor = page["next"]
        assert cursor is None
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) == 5

    @pytest.mark.parametrize("limit", ["0", "-1", "201", "1" + "0" * 30, "x", "", "1.5", "٣"])
    def test_bad_limits_are_400(self, as_alice, limit):
        response = as_alice.get(f"{NOTES}?limit={limit}")
        assert response.status_code == 400
        assert response.json()["errors"][0]["code"] == "invalid_limit"

    def test_bad_cursors_are_400(self, as_alice):
        for number in range(2):
            create(as_alice, title=str(number))
        good = as_alice.get(f"{NOTES}?limit=1").json()["next"]
        for cursor in ("x", good[:-1], good + "x", "x" + good, "a" * 5000, "WzFd:x:y"):
            response = as_alice.get(f"{NOTES}?cursor={cursor}")
            assert response.status_code == 400, cursor
            assert response.json()["errors"][0]["code"] == "invalid_cursor"

    def test_a_page_of_heavy_notes_ends_early_and_none_is_left_out(self, as_alice, alice):
        for number in range(25):
            Note.objects.create(owner=alice, title=str(number), content="é" * 2**19)
        seen, cursor, pages = [], "", 0
        while cursor is not None:
            page = as_alice.get(f"{NOTES}?limit=200&cursor={cursor}").json()
            seen += [note["id"] for note in page["results"]]
            cursor, pages = page["next"], pages + 1
        assert pages == 4
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == 25

    def test_queries(self, as_alice):
        for number in range(3):
            create(as_alice, title=str(number))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            as_alice.get(NOTES)
        # The fast path: session JOIN user; notes LEFT JOIN attachment LEFT JOIN object. Then once
        # for states of the last minutes the plain one: both again; the feed's mark; savepoint of
        # the test; lock; mark as given; notes as they are; release.
        assert len(queries) == 10
        with CaptureQueriesContext(connection) as queries:
            page = as_alice.get(NOTES)
        assert len(queries) == 2
        with CaptureQueriesContext(connection) as queries:
            as_alice.get(NOTES, HTTP_IF_NONE_MATCH=page.headers["ETag"])
        assert len(queries) == 2  # session JOIN user; the feed's mark


class TestListETag:
    def ask(self, client, tag, url=NOTES, **headers):
        return client.get(url, HTTP_IF_NONE_MATCH=tag, **headers)

    def test_304_until_any_note_changes(self, as_alice):
        note = create(as_alice)
        url = f"{NOTES}/{note['id']}"
        tag = as_alice.get(NOTES).headers["ETag"]
        for change in (
            lambda: as_alice.patch(url, {"title": "new"}, format="json"),
            lambda: as_alice.post(NOTES, {"title": "second"}, format="json"),
            lambda: as_alice.put(f"{url}/file", {"file": io.BytesIO(b"x")}, format="multipart"),
            lambda: as_alice.delete(f"{url}/file"),
            lambda: as_alice.delete(url),
            lambda: as_alice.post(f"{url}/restore"),
            lambda: as_alice.delete(f"{url}?permanent=true"),
        ):
            known = self.ask(as_alice, tag)
            assert (known.status_code, known.content) == (304, b"")
            assert known.headers["ETag"] == tag
            assert self.ask(as_alice, f'"x", W/{tag}').status_code == 304
            assert self.ask(as_alice, "*").status_code == 304
            assert change().status_code < 300
            news = self.ask(as_alice, tag)
            assert news.status_code == 200
            assert news.headers["ETag"] != tag
            tag = news.headers["ETag"]

    def test_a_tag_is_of_one_list_of_one_reader(self, as_alice, as_carol):
        for client in (as_alice, as_carol):
            create(client)
        tag = as_alice.get(NOTES).headers["ETag"]
        body = {
            "name": "x",
            "scopes": ["notes:read"],
            "category": "Work",
            "password": PASSWORD,
        }
        token = as_alice.post("/api/v1/auth/tokens", body, format="json").json()["token"]
        limited = client_of(None)
        limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        assert self.ask(as_carol, tag).status_code == 200
        assert self.ask(limited, tag).status_code == 200
        assert self.ask(as_alice, tag, f"{NOTES}?limit=1").status_code == 200
        assert self.ask(as_alice, tag, f"{NOTES}?trashed=true").status_code == 200
        assert self.ask(as_alice, tag, HTTP_HOST="127.0.0.1").status_code == 200
        assert self.ask(as_alice, tag).status_code == 304

    def test_a_restored_backup_takes_no_tag_for_its_own(self, alice, as_alice):
        create(as_alice)
        before = Feed.objects.values().get()
        note = create(as_alice, title="lost with the restored backup")
        tag = as_alice.get(NOTES).headers["ETag"]
        Note.objects.filter(pk=note["id"]).delete()
        Change.objects.filter(note_id=note["id"]).delete()
        Feed.objects.update(**before)
        create(as_alice, title="written after that")
        assert self.ask(as_alice, tag).status_code == 200

    def test_the_past_has_no_tag(self, as_alice):
        create(as_alice)
        page = as_alice.get(f"{NOTES}?as_of={dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}")
        assert page.status_code == 200
        assert "ETag" not in page.headers


def test_queries_of_one_note_and_of_writes(as_alice, django_assert_num_queries):
    note = create(as_alice)
    url = f"{NOTES}/{note['id']}"
    as_alice.get(url)
    with django_assert_num_queries(2):  # session JOIN user; note with file
        as_alice.get(url)
    with django_assert_num_queries(2):  # session JOIN user; version
        assert as_alice.get(url, HTTP_IF_NONE_MATCH='"1"').status_code == 304
    is_postgresql = connection.vendor == "postgresql"
    # session; savepoint of the test; insert; number of the feed; place in the feed; release.
    # On PostgreSQL: session; all at once.
    with django_assert_num_queries(2 if is_postgresql else 6):
        create(as_alice)
    # session; note with file; savepoint; lock; revision; update; feed twice; release.
    # On PostgreSQL: session; note with file; all at once.
    with django_assert_num_queries(3 if is_postgresql else 9):
        as_alice.patch(url, {"title": "x"}, format="json")
    # The same without a revision: the writer goes on.
    with django_assert_num_queries(3 if is_postgresql else 8):
        as_alice.patch(url, {"title": "xy"}, format="json")


def test_queries_of_writes_on_the_plain_road(as_alice, django_assert_num_queries, settings):
    settings.FAST_PATH = False
    note = create(as_alice)
    feed = 1 if connection.vendor == "postgresql" else 2
    # session; savepoint of the test; insert; feed; release
    with django_assert_num_queries(4 + feed):
        create(as_alice)
    # session; note with file; savepoint; lock; update; feed; release
    with django_assert_num_queries(6 + feed):
        as_alice.patch(f"{NOTES}/{note['id']}", {"title": "Title x"}, format="json")
    with django_assert_num_queries(7 + feed):  # the same with a revision
        as_alice.patch(f"{NOTES}/{note['id']}", {"title": "x"}, format="json")


def test_huge_ids_are_404(as_alice):
    for pk in (2**63, 10**30, "9" * 5000):
        assert as_alice.get(f"{NOTES}/{pk}").status_code == 404


def test_unprefixed_paths_are_the_same_views(as_alice):
    note = create(as_alice)
    assert as_alice.get("/notes").json()["results"] == [note]
    assert as_alice.get(f"/notes/{note['id']}").json() == note
    response = as_alice.put(f"/notes/{note['id']}/title", {"title": "x"}, format="json")
    assert response.json()["title"] == "x"


@pytest.mark.parametrize("path", ["/api/v1/notes/", "/notes//", "/api/v1/nothing", "/api/v2/notes"])
def test_unknown_paths_are_problems(as_alice, path):
    response = as_alice.get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_method_not_allowed_is_a_problem(as_alice):
    response = as_alice.delete(NOTES)
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert "POST" in response.headers["Allow"]


def test_text_is_text(as_alice):
    for value in (1, 1.5, 1e300, True, {}, []):
        response = as_alice.post(NOTES, {"title": value}, format="json")
        assert response.status_code == 400
        assert response.json()["errors"][0]["code"] == "invalid"
