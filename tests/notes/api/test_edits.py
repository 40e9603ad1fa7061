import pytest
from django.utils import timezone

from accounts.actions import tokens
from notes.models import Note, Revision
from notes.models.notes import MAX_CONTENT_BYTES
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
TEXT = "# Shopping\n\n- [ ] milk\n- [x] bread\n"


@pytest.fixture
def url(as_alice):
    body = {"title": "t", "content": TEXT}
    return f"{NOTES}/{as_alice.post(NOTES, body, format='json').json()['id']}"


def edit(client, url, op, **more):
    return client.post(f"{url}/edits", {"op": op, **more}, format="json")


@pytest.mark.parametrize(
    ("op", "more", "expected"),
    [
        ("append", {"text": "- [ ] jam"}, TEXT + "- [ ] jam"),
        ("prepend", {"text": "first"}, "first\n" + TEXT),
        ("replace", {"old": "milk", "text": "oat milk"}, TEXT.replace("milk", "oat milk")),
        ("replace", {"old": "# Shopping\n\n", "text": ""}, "- [ ] milk\n- [x] bread\n"),
        ("toggle_task", {"task": 1}, TEXT.replace("[ ]", "[x]")),
        ("toggle_task", {"task": 2}, TEXT.replace("[x]", "[ ]")),
    ],
)
def test_an_edit_is_a_revision(as_alice, url, op, more, expected):
    response = edit(as_alice, url, op, **more)
    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert response.json()["content"] == expected
    assert Revision.objects.get().content == TEXT
    assert as_alice.get(f"{url}/revisions/2").json()["cause"] == op


def test_appended_text_stands_on_lines_of_its_own(as_alice, url):
    for text in ("a", "b\n", "c"):
        edit(as_alice, url, "append", text=text)
    assert Note.objects.get().content == TEXT + "a\nb\nc"
    assert Revision.objects.count() == 3


@pytest.mark.parametrize(("old", "count"), [("zucchini", 0), ("[", 2), ("- [", 2)])
def test_what_is_replaced_occurs_exactly_once(as_alice, url, old, count):
    response = edit(as_alice, url, "replace", old=old, text="x")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "not_exactly_once")
    assert problem["count"] == count
    assert Note.objects.get().content == TEXT


def test_tasks_are_counted(as_alice, url):
    problem = edit(as_alice, url, "toggle_task", task=3).json()
    assert (problem["status"], problem["code"], problem["count"]) == (409, "no_such_task", 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "op"),
        ({"op": "delete"}, "op"),
        ({"op": "append"}, "text"),
        ({"op": "append", "text": 1}, "text"),
        ({"op": "replace", "old": "x"}, "text"),
        ({"op": "replace", "text": "x"}, "old"),
        ({"op": "replace", "old": "", "text": "x"}, "old"),
        ({"op": "toggle_task"}, "task"),
        ({"op": "toggle_task", "task": 0}, "task"),
        ({"op": "toggle_task", "task": 10**30}, "task"),
    ],
)
def test_bad_edits(as_alice, url, body, field):
    response = as_alice.post(f"{url}/edits", body, format="json")
    assert response.status_code == 400
    assert [entry["field"] for entry in response.json()["errors"]] == [field]
    assert Note.objects.get().version == 1


def test_the_content_stays_within_its_limit(as_alice, url):
    text = "x" * (MAX_CONTENT_BYTES - len(TEXT) + 1)
    response = edit(as_alice, url, "append", text=text)
    assert (response.status_code, response.json()["code"]) == (400, "max_bytes")
    assert edit(as_alice, url, "append", text=text[1:]).status_code == 200


def test_an_edit_that_changes_nothing_is_none(as_alice, url):
    assert edit(as_alice, url, "replace", old="milk", text="milk").headers["ETag"] == '"1"'


class TestAppendOnlyToken:
    @pytest.fixture
    def agent(self, alice):
        _, secret = tokens.create_token(
            user=alice, password=PASSWORD, name="agent", scopes=["notes:append"], category="",
            expires_at=None, now=timezone.now(),
        )  # fmt: skip
        client = client_of(None)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    def test_it_appends_and_is_told_nothing_of_the_text(self, agent, url):
        response = edit(agent, url, "append", text="more")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["ETag"] == '"2"'
        assert Note.objects.get().content == TEXT + "more"
        stale = agent.post(
            f"{url}/edits", {"op": "append", "text": "x"}, format="json", HTTP_IF_MATCH='"1"'
        )
        assert stale.status_code == 412
        assert "current" not in stale.json()

    @pytest.mark.parametrize(
        "body",
        [
            {"op": "prepend", "text": "x"},
            {"op": "replace", "old": "milk", "text": "x"},
            {"op": "replace", "old": "no such text", "text": "x"},
            {"op": "toggle_task", "task": 1},
            {"op": "toggle_task", "task": 9},
        ],
    )
    def test_it_does_nothing_else(self, agent, url, body):
        response = agent.post(f"{url}/edits", body, format="json")
        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", ""),
            ("put", ""),
            ("delete", ""),
            ("post", "/restore"),
            ("post", "/revisions/1/restore"),
            ("get", "/revisions"),
        ],
    )
    def test_every_other_verb_is_closed(self, agent, url, method, path):
        assert getattr(agent, method)(url + path, {}, format="json").status_code == 403

    @pytest.mark.parametrize(
        ("method", "path"), [("get", "sync"), ("post", "sync"), ("post", "rewind")]
    )
    def test_the_account_is_closed(self, agent, method, path):
        assert getattr(agent, method)(f"/api/v1/{path}", {}, format="json").status_code == 403
