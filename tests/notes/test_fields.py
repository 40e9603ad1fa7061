"""Each field that a note declares, through every way in which a note is written.

All of it follows from ``notes.models.fields``: a new field is tested as soon as it is declared.
"""

import datetime as dt
import hashlib
import json

import pytest
from django.db.models import F
from django.utils import timezone

from notes.api.fields import WritableSerializer
from notes.api.notes import NoteWriteSerializer
from notes.api.revisions import DifferenceSerializer
from notes.api.sync import OperationSerializer
from notes.models import Note, Revision
from notes.models.fields import EDITABLE, FLAGS, NAMES, NOTE_FIELDS, VERSIONED, note_json
from tests.notes.files import add, path_of

pytestmark = pytest.mark.django_db
API = "/api/v1"
NOTES = f"{API}/notes"
LONG_AGO = dt.timedelta(hours=2)

# Where a name and a number are no value of the field.
SAMPLES = {"tags": [["blue", "red"], ["green"]]}


def sample(name, number):
    """Return one of two values that clients may write."""
    field = Note._meta.get_field(name)
    if field.choices:
        return [value for value, _ in field.choices][number]
    return SAMPLES[name][number] if name in SAMPLES else f"{name} {number}"


@pytest.fixture(params=[True, False], ids=["fast", "django"])
def path(request, settings):
    """Both paths to a note."""
    settings.FAST_PATH = request.param


@pytest.fixture
def note(as_alice, path):
    """A note in whose state no versioned column is empty, old enough for its own revision.

    ``trashed_at`` is empty, as the note is live.
    """
    body = {name: sample(name, 0) for name in EDITABLE}
    note_id = as_alice.post(NOTES, body, format="json").json()["id"]
    assert add(as_alice, f"{NOTES}/{note_id}").status_code == 201
    age(note_id)
    return Note.objects.get(pk=note_id)


def age(note_id):
    """Have the state of a note be so old that the next write keeps it."""
    Note.objects.filter(pk=note_id).update(
        state_since=F("state_since") - LONG_AGO, state_given=True
    )


def state_of(row):
    return {name: getattr(row, name) for name in VERSIONED}


def last_revision(note):
    return Revision.objects.filter(note=note.pk).order_by("-version").first()


def change(client, method, url, body):
    answer = client.generic(method, url, json.dumps(body) if body else "", "application/json")
    assert answer.status_code < 300, (method, url, answer.content)
    return answer


def url_of(note):
    return f"{NOTES}/{note.pk}"


def sync(client, note, fields):
    version = Note.objects.get(pk=note.pk).version
    operation = {"op": "update", "id": note.pk, "base_version": version, **fields}
    answer = change(client, "POST", f"{API}/sync", {"changes": [operation]})
    assert answer.json()["results"][0]["status"] == "applied", answer.content


def merge(client, note, fields):
    header = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": f'"{note.version}"'}
    answer = client.patch(url_of(note), fields, format="json", **header)
    assert answer.status_code == 200, answer.content


def put(client, note, fields):
    current = Note.objects.get(pk=note.pk)
    change(
        client, "PUT", url_of(note), {"title": current.title, "content": current.content, **fields}
    )


# Every writer of history, by what it writes beside the fields that it is to leave alone.
WRITERS = {
    "patch": lambda c, n: change(c, "PATCH", url_of(n), {"title": "other"}),
    "put": lambda c, n: put(c, n, {"content": "other"}),
    "title": lambda c, n: change(c, "PUT", f"{url_of(n)}/title", {"title": "other"}),
    "edit": lambda c, n: change(c, "POST", f"{url_of(n)}/edits", {"op": "append", "text": "more"}),
    "sync": lambda c, n: sync(c, n, {"title": "other"}),
    "merge": lambda c, n: merge(c, n, {"title": "other"}),
    "trash": lambda c, n: change(c, "DELETE", url_of(n), None),
    "bulk tag": lambda c, n: change(
        c, "POST", f"{NOTES}/bulk", {"op": "tag", "ids": [n.pk], "tags": ["new"]}
    ),
    "bulk move": lambda c, n: change(
        c, "POST", f"{NOTES}/bulk", {"op": "move", "ids": [n.pk], "category": "Elsewhere"}
    ),
    "bulk trash": lambda c, n: change(c, "POST", f"{NOTES}/bulk", {"op": "trash", "ids": [n.pk]}),
    "rename tag": lambda c, n: change(c, "PATCH", f"{API}/tags/red", {"name": "crimson"}),
    "move category": lambda c, n: change(
        c, "PATCH", f"{API}/categories/{n.category}", {"category": "Moved"}
    ),
    "rewind": lambda c, n: change(
        c, "POST", f"{API}/rewind", {"to": (timezone.now() - 2 * LONG_AGO).isoformat()}
    ),
    "file": lambda c, n: add(c, url_of(n), b"more", "b.txt"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_history_keeps_every_versioned_field(as_alice, note, writer):
    """What a write replaces is a revision that says all that the note said."""
    before = state_of(note)
    assert all(value for name, value in before.items() if name != "trashed_at"), before
    WRITERS[writer](as_alice, note)
    assert state_of(last_revision(note)) == before
    changed = state_of(Note.objects.get(pk=note.pk))
    assert changed != before
    # And the revision made from a note that is in the trash.
    if changed["trashed_at"]:
        change(as_alice, "POST", f"{url_of(note)}/restore", None)
        assert state_of(last_revision(note)) == changed


WRITES = {
    "patch": lambda c, n, fields: change(c, "PATCH", url_of(n), fields),
    "put": put,
    "sync": sync,
    "merge": merge,
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", EDITABLE)
def test_every_editable_field_is_written_restored_and_read_as_it_was(as_alice, note, name, write):
    url, before = url_of(note), timezone.now()
    old, new = sample(name, 0), sample(name, 1)
    Note.objects.filter(pk=note.pk).update(created_at=before - LONG_AGO)
    WRITES[write](as_alice, note, {name: new})
    assert as_alice.get(url).json()[name] == new
    version = note.version

    assert as_alice.get(f"{url}/revisions/{version}").json()[name] == old
    difference = as_alice.get(f"{url}/revisions/{version}/diff").json()
    assert difference.get(name, [old, new]) == [old, new]
    (then,) = as_alice.get(NOTES, {"as_of": before.isoformat()}).json()["results"]
    assert then[name] == old
    (told,) = as_alice.get(f"{API}/sync").json()["changes"]
    assert told["note"] == as_alice.get(url).json()

    change(as_alice, "POST", f"{url}/revisions/{version}/restore", None)
    assert as_alice.get(url).json()[name] == old
    WRITES[write](as_alice, Note.objects.get(pk=note.pk), {name: new})
    change(as_alice, "POST", f"{API}/rewind", {"to": before.isoformat()})
    assert as_alice.get(url).json()[name] == old


def test_a_merge_keeps_what_the_other_side_has_changed(as_alice, note):
    fields = {name: sample(name, 1) for name in EDITABLE}
    for name in EDITABLE:
        base = Note.objects.get(pk=note.pk)
        others = {other: value for other, value in fields.items() if other != name}
        change(as_alice, "PATCH", url_of(note), others)
        merge(as_alice, base, {name: fields[name]})
        current = as_alice.get(url_of(note)).json()
        assert {each: current[each] for each in fields} == {**others, name: fields[name]}
        change(as_alice, "POST", f"{url_of(note)}/revisions/{note.version}/restore", None)


def test_a_merge_conflict_shows_every_editable_field_of_the_base(as_alice, note):
    change(as_alice, "PATCH", url_of(note), {"title": "theirs"})
    header = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": f'"{note.version}"'}
    answer = as_alice.patch(url_of(note), {"title": "mine"}, format="json", **header)
    assert answer.status_code == 409
    assert answer.json()["base"] == {name: sample(name, 0) for name in EDITABLE}


def test_a_restored_version_has_its_files_again(as_alice, note):
    url = url_of(note)
    (file,) = as_alice.get(f"{url}/attachments").json()["results"]
    change(as_alice, "DELETE", path_of(file["url"]), None)
    change(as_alice, "POST", f"{url}/revisions/{note.version}/restore", None)
    assert as_alice.get(f"{url}/attachments").json()["results"] == [file]
    assert hashlib.sha256(b"hello").hexdigest() == file["sha256"]


def test_both_paths_and_all_lists_show_the_same_members(as_alice, note):
    one = as_alice.get(url_of(note)).json()
    assert tuple(one) == NAMES
    assert as_alice.get(NOTES).json()["results"] == [one]
    (told,) = as_alice.get(f"{API}/sync").json()["changes"]
    assert told["note"] == one
    light = {name: value for name, value in one.items() if name != "content"}
    (found,) = as_alice.get(f"{API}/search?q=title").json()["results"]
    assert light.items() <= found.items()


def test_what_is_chosen_of_a_note_needs_nothing_else():
    class Row:
        id, title = 7, "t"

    assert note_json(Row, "http://h", ("id", "title")) == {"id": 7, "title": "t"}


def test_the_declaration_is_what_serializers_and_tables_have():
    writable = [field.name for field in NOTE_FIELDS if field.writable]
    assert [*WritableSerializer().fields] == writable
    assert {*writable} == {*NoteWriteSerializer().fields} == {*EDITABLE, *FLAGS}
    assert {*writable} <= {*OperationSerializer().fields}
    assert {*EDITABLE} - {"content"} <= {*DifferenceSerializer().fields}
    for model in (Note, Revision):
        columns = {field.name for field in model._meta.concrete_fields}
        assert {*VERSIONED} <= columns
