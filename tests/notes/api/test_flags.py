"""Favourites and the archive: how a reader files notes away, which is no change of the note."""

import pytest

from notes.models import Change, Note, Revision
from notes.models.fields import FLAGS
from tests.conftest import client_of

pytestmark = pytest.mark.django_db
NOTES, SYNC = "/api/v1/notes", "/api/v1/sync"


@pytest.fixture
def note(as_alice):
    return as_alice.post(NOTES, {"title": "t", "content": "c"}, format="json").json()


@pytest.fixture
def url(note):
    return f"{NOTES}/{note['id']}"


def patch(client, url, **fields):
    headers = {name: fields.pop(name) for name in [*fields] if name.startswith("HTTP_")}
    return client.patch(url, fields, format="json", **headers)


def push(client, *operations):
    return client.post(SYNC, {"changes": operations}, format="json").json()


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_leaves_the_version_alone_and_is_a_change_of_the_feed(as_alice, note, url, flag):
    assert note[flag] is False
    cursor = as_alice.get(SYNC).json()["cursor"]
    for value in (True, False):
        answer = patch(as_alice, url, **{flag: value})
        assert answer.json() == {**note, flag: value}
        assert as_alice.get(url).json() == answer.json()
        (change,) = as_alice.get(f"{SYNC}?cursor={cursor}").json()["changes"]
        assert change["note"] == answer.json()
    seq = Change.objects.get().seq
    assert patch(as_alice, url, **{flag: False}).status_code == 200
    assert Change.objects.get().seq == seq  # nothing has changed
    assert Note.objects.get().version == 1
    assert Revision.objects.count() == 0


def test_with_words_in_one_request(as_alice, url):
    answer = patch(as_alice, url, title="n", is_favorite=True)
    assert (answer.json()["title"], answer.json()["is_favorite"]) == ("n", True)
    assert (answer.json()["version"], answer.headers["ETag"]) == (2, '"2-f"')
    assert Change.objects.get().seq == 2
    replaced = as_alice.put(url, {"title": "m", "content": ""}, format="json").json()
    assert (replaced["is_favorite"], replaced["version"]) == (True, 3)


def test_a_new_note_may_have_them(as_alice):
    sent = {"title": "t", "is_favorite": True, "is_archived": True}
    answer = as_alice.post(NOTES, sent, format="json")
    assert answer.json().items() >= sent.items()
    assert answer.headers["ETag"] == '"1-fa"'


def test_entity_tags_tell_them_apart(as_alice, url):
    tags = [as_alice.get(url).headers["ETag"]]
    for fields in ({"is_favorite": True}, {"is_archived": True}, {"is_favorite": False}):
        tags.append(patch(as_alice, url, **fields).headers["ETag"])
    assert tags == ['"1"', '"1-f"', '"1-fa"', '"1-a"']
    for tag in tags:
        known = as_alice.get(url, HTTP_IF_NONE_MATCH=tag)
        assert (known.status_code, known.headers["ETag"]) == (
            304 if tag == '"1-a"' else 200,
            '"1-a"',
        )
        assert as_alice.get(url, HTTP_IF_NONE_MATCH=f"W/{tag}").status_code == known.status_code


@pytest.mark.parametrize("tag", ['"1"', '"1-f"', '"1-fa"', "1"])
def test_any_of_them_names_the_version_that_a_write_expects(as_alice, url, tag):
    assert patch(as_alice, url, is_favorite=True, HTTP_IF_MATCH=tag).status_code == 200
    assert patch(as_alice, url, title="n", HTTP_IF_MATCH=tag).status_code == 200
    stale = patch(as_alice, url, is_favorite=False, HTTP_IF_MATCH=tag)
    assert (stale.status_code, stale.json()["current"]["is_favorite"]) == (412, True)


def test_a_list_is_another_one(as_alice, note, url):
    tag = as_alice.get(NOTES).headers["ETag"]
    patch(as_alice, url, is_archived=True)
    answer = as_alice.get(NOTES, HTTP_IF_NONE_MATCH=tag)
    assert answer.json()["results"] == [{**note, "is_archived": True}]


def test_they_outlive_the_trash_and_earlier_states(as_alice, url):
    patch(as_alice, url, is_favorite=True)
    patch(as_alice, url, content="other")
    as_alice.delete(url)
    assert as_alice.post(f"{url}/restore").json()["is_favorite"]
    assert as_alice.post(f"{url}/revisions/1/restore").json()["is_favorite"]
    as_alice.delete(url)
    assert patch(as_alice, url, is_favorite=False).status_code == 404


@pytest.mark.parametrize("value", ["perhaps", 2, [], {}])
def test_what_is_no_flag(as_alice, url, value):
    answer = patch(as_alice, url, is_favorite=value)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["is_favorite"]


def test_merged_with_words(as_alice, alice, url):
    patch(as_alice, url, content="a\nb\nc\n")
    patch(client_of(alice), url, content="A\nb\nc\n")
    prefers = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": '"2"'}
    answer = patch(as_alice, url, content="a\nb\nC\n", is_favorite=True, **prefers)
    assert (answer.json()["content"], answer.json()["is_favorite"]) == ("A\nb\nC\n", True)


class TestOffline:
    def test_in_any_version(self, as_alice, note, url):
        patch(as_alice, url, title="n")
        answer = push(as_alice, {"op": "flag", "id": note["id"], "is_favorite": True})
        (result,) = answer["results"]
        assert (result["status"], result["version"]) == ("applied", 2)
        assert as_alice.get(url).json()["is_favorite"]

    def test_of_a_note_that_the_client_has_just_made(self, as_alice):
        made = {"op": "create", "client_id": "a", "title": "t"}
        push(as_alice, made, {"op": "flag", "client_id": "a", "is_archived": True})
        assert Note.objects.get().is_archived

    def test_of_a_note_that_is_not_there(self, as_alice, as_carol, note, url):
        flag = {"op": "flag", "id": note["id"], "is_favorite": True}
        assert push(as_carol, flag)["results"][0]["status"] == "refused"
        as_alice.delete(url)
        assert push(as_alice, flag)["results"][0]["problem"]["code"] == "deleted"

    @pytest.mark.parametrize(
        ("operation", "field"),
        [
            ({"op": "flag", "id": 1}, "is_favorite"),
            ({"op": "flag", "is_favorite": True}, "id"),
            ({"op": "create", "title": "t", "is_favorite": True}, "is_favorite"),
            ({"op": "update", "id": 1, "base_version": 1, "is_archived": True}, "is_archived"),
        ],
    )
    def test_what_is_no_operation(self, as_alice, operation, field):
        (result,) = push(as_alice, operation)["results"]
        assert result["status"] == "refused"
        assert [error["field"] for error in result["problem"]["errors"]] == [field]
