"""Conditional requests: entity tags, 304, 412 and 428 on every verb of a note."""

import datetime as dt
import io
import itertools

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from notes.actions import versions
from notes.models import Note, Revision
from tests.cases import failures
from tests.conftest import client_of
from tests.notes.files import new_note

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
WHOLE = {"title": "x", "content": "x"}


@pytest.fixture
def note(as_alice):
    return as_alice.post(NOTES, {"title": "t", "content": "one\n"}, format="json").json()


@pytest.fixture
def url(note):
    return f"{NOTES}/{note['id']}"


def upload(client, url, **headers):
    file = SimpleUploadedFile("f.txt", b"x")
    return client.put(f"{url}/file", {"file": file}, format="multipart", **headers)


# Each brings the note from one version to the next.
WRITES = {
    "put": lambda c, u, **h: c.put(u, {"title": "p", "content": "put"}, format="json", **h),
    "patch": lambda c, u, **h: c.patch(u, {"content": "patch"}, format="json", **h),
    "title": lambda c, u, **h: c.put(f"{u}/title", {"title": "new"}, format="json", **h),
    "file": upload,
    "edit": lambda c, u, **h: c.post(
        f"{u}/edits", {"op": "append", "text": "e"}, format="json", **h
    ),
    "revision": lambda c, u, **h: c.post(f"{u}/revisions/1/restore", **h),
    "delete": lambda c, u, **h: c.delete(u, **h),
    "purge": lambda c, u, **h: c.delete(f"{u}?permanent=true", **h),
    "restore": lambda c, u, **h: c.post(f"{u}/restore", **h),
    "no file": lambda c, u, **h: c.delete(f"{u}/file", **h),
}


def prepare(name, client, url):
    """Bring the note to where the write changes something; return its version."""
    client.patch(url, {"content": "two\n"}, format="json")
    if name == "no file":
        upload(client, url)
    if name == "restore":
        client.delete(url)
    return Note.objects.get(pk=pk_of(url)).version


def pk_of(url):
    return int(url.rpartition("/")[2])


@pytest.mark.parametrize("name", WRITES)
def test_a_fresh_precondition_is_met(as_alice, name):
    def check(form):
        url = new_note(as_alice, content="one\n")
        version = prepare(name, as_alice, url)
        response = WRITES[name](as_alice, url, HTTP_IF_MATCH=form.format(version))
        assert response.status_code in (200, 204)
        note = Note.objects.filter(pk=pk_of(url)).first()
        assert (note is None) == (name == "purge")
        if note:
            assert note.version == version + 1
            assert response.headers.get("ETag") in (f'"{version + 1}"', None)

    forms = [
        '"{}"',
        'W/"{}"',
        "{}",
        '"{}-gzip"',
        'W/"{};br"',
        '"9999", "{}"',
        "*",
        'W/"7777" , W/"{}"',
    ]
    assert failures({form: form for form in forms}, check) == {}


@pytest.mark.parametrize("name", WRITES)
def test_a_stale_precondition_changes_nothing(as_alice, url, name):
    version = prepare(name, as_alice, url)

    def check(form):
        before = Note.objects.values().get(), Revision.objects.count()
        response = WRITES[name](as_alice, url, HTTP_IF_MATCH=form)
        assert (response.status_code, response.json()["code"]) == (412, "stale_version")
        current = response.json()["current"]
        assert current["version"] == version
        if name != "restore":  # it is in the trash
            assert current == as_alice.get(url).json()
        after = Note.objects.values().get(), Revision.objects.count()
        assert {**after[0], "state_given": 0} == {**before[0], "state_given": 0}
        assert after[1] == before[1]

    forms = ['"1"', 'W/"1"', "1", '"x"', "", '"2', "2 3", "-3", '"99999999999999"']
    assert failures({form: form for form in forms}, check) == {}


@pytest.mark.parametrize("name", WRITES)
def test_an_account_may_require_preconditions(as_alice, url, name):
    version = prepare(name, as_alice, url)
    me = as_alice.patch("/api/v1/auth/me", {"require_if_match": True}, format="json")
    assert me.json()["require_if_match"] is True
    response = WRITES[name](as_alice, url)
    assert (response.status_code, response.json()["code"]) == (428, "precondition_required")
    assert Note.objects.get().version == version
    assert WRITES[name](as_alice, url, HTTP_IF_MATCH="*").status_code in (200, 204)


def test_preconditions_of_one_account_are_not_anothers(as_alice, as_carol, url):
    as_carol.patch("/api/v1/auth/me", {"require_if_match": True}, format="json")
    assert as_alice.patch(url, {"title": "x"}, format="json").status_code == 200


@pytest.mark.parametrize("name", WRITES)
def test_what_is_there_is_not_made(as_alice, url, name):
    prepare(name, as_alice, url)
    assert WRITES[name](as_alice, url, HTTP_IF_NONE_MATCH="*").status_code == 412


def test_create_needs_no_precondition(as_alice):
    as_alice.patch("/api/v1/auth/me", {"require_if_match": True}, format="json")
    response = as_alice.post(NOTES, {"title": "t"}, format="json")
    assert (response.status_code, response.headers["ETag"]) == (201, '"1"')


@pytest.mark.parametrize("form", ['"1"', 'W/"1"', "1", '"5", "1"', "*", '"1-gzip"', 'W/"1;br"'])
def test_not_modified(as_alice, url, form):
    response = as_alice.get(url, HTTP_IF_NONE_MATCH=form)
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize("form", ['"2"', "", "x", '"11"'])
def test_modified(as_alice, url, note, form):
    response = as_alice.get(url, HTTP_IF_NONE_MATCH=form)
    assert (response.status_code, response.json()) == (200, note)
    assert response.headers["ETag"] == '"1"'


def test_not_modified_is_not_for_strangers(as_carol, as_alice, url):
    for tag in ('"1"', "*"):
        assert as_carol.get(url, HTTP_IF_NONE_MATCH=tag).status_code == 404
        assert as_carol.put(url, WHOLE, format="json", HTTP_IF_MATCH=tag).status_code == 404
    as_alice.delete(url)
    assert as_alice.get(url, HTTP_IF_NONE_MATCH="*").status_code == 404


def test_a_write_that_changes_nothing_meets_its_precondition_again(as_alice, url, note):
    for _ in range(2):
        body = {"title": note["title"], "content": note["content"]}
        response = as_alice.put(url, body, format="json", HTTP_IF_MATCH='"1"')
        assert response.headers["ETag"] == '"1"'


def test_a_stale_upload_leaves_no_object(as_alice, url, stored_keys):
    as_alice.patch(url, {"title": "x"}, format="json")
    file = io.BytesIO(b"x")
    response = as_alice.put(f"{url}/file", {"file": file}, format="multipart", HTTP_IF_MATCH='"1"')
    assert response.status_code == 412
    assert stored_keys() == set()


def test_what_a_412_shows_stays_in_the_history(alice, as_alice, url):
    """The one who is told the current state may come back with it as a base."""
    as_alice.patch(url, {"content": "one\ntwo\n"}, format="json")
    other = client_of(alice)
    told = other.patch(url, {"title": "x"}, format="json", HTTP_IF_MATCH='"1"').json()["current"]
    as_alice.patch(url, {"content": "one\ntwo\nthree\n"}, format="json")
    kept = as_alice.get(f"{url}/revisions/{told['version']}").json()
    assert kept["content"] == told["content"] == "one\ntwo\n"


def test_a_state_is_fresh_to_a_query_and_to_python_alike(note):
    now = timezone.now()
    results = set()

    def check(case):
        is_given, cause, credential, seconds = case
        Note.objects.update(
            state_given=is_given,
            state_cause=cause,
            state_credential=credential,
            state_since=now - versions.SEEN_WITHIN + dt.timedelta(seconds=seconds),
        )
        is_fresh = versions.is_coalescible(Note.objects.get(), now)
        fresh = Note.objects.filter(versions.coalescible(since=now - versions.SEEN_WITHIN))
        assert fresh.exists() == is_fresh
        results.add(is_fresh)

    cases = itertools.product([True, False], Note.Cause.values, ["", "s:1"], [-1, 0, 1])
    assert failures({str(case): case for case in cases}, check) == {}
    assert results == {True, False}
