"""Readers who are not the owner, before there is any sharing: visible is not editable.

``sharing`` is the seam: it makes notes visible to or editable by others where the product asks,
in the querysets of ``Note.objects`` and in ``notes.access``. Every write route is tried.
"""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Q
from django.utils import timezone

from accounts.callers import Caller
from notes import access
from notes.actions import notes as actions
from notes.models import Change, Feed, Note, Revision
from notes.models.notes import NoteQuerySet
from tests.cases import failures
from tests.conftest import client_of
from tests.notes.files import add
from tests.routes import FILES, TABLE, body_of, path_to

pytestmark = pytest.mark.django_db
API = "/api/v1"

# What a guest may send to a route in place of the body of the table, so that it would do something.
FLAGGING = ("archive", "favorite", "trash", "restore", "unarchive", "unfavorite")
BULK = [
    *({"op": op} for op in FLAGGING),
    {"op": "tag", "tags": ["new"]},
    {"op": "untag", "tags": ["red"]},
    {"op": "move", "category": "X"},
    {"op": "purge"},
]
SYNC = [
    {"op": "update", "title": "mine"},
    {"op": "update", "category": "Mine"},
    {"op": "flag", "is_favorite": True},
    {"op": "delete"},
]
FIELDS = [
    {"content": "mine"},
    {"category": "Mine"},
    {"tags": ["mine"]},
    {"is_favorite": True},
    {"is_archived": True},
]


class Sharing:
    """The ids of the notes that somebody else may see, and edit."""

    def __init__(self):
        self.visible, self.editable = [], []


@pytest.fixture
def sharing(monkeypatch, bob):
    """Let ``bob`` see the notes in ``visible`` and edit those in ``editable``."""
    shared = Sharing()
    can, owned_by = access.can, NoteQuerySet.owned_by

    def can_too(caller, verb, note):
        ids = {"read": shared.visible, "edit": shared.editable}.get(verb, [])
        return can(caller, verb, note) or (caller.pk == bob.pk and note.pk in ids)

    def widened(ids):
        def among(rows, caller):
            mine = owned_by(rows.model.objects.all(), caller).values("pk")
            return rows.filter(Q(pk__in=mine) | Q(pk__in=ids if caller.pk == bob.pk else []))

        return among

    monkeypatch.setattr(access, "can", can_too)

    def audience(note):
        return sorted({note.owner_id, *([bob.pk] if note.pk in shared.visible else [])})

    monkeypatch.setattr(access, "audience", audience)
    monkeypatch.setattr(NoteQuerySet, "visible_to", widened(shared.visible))
    monkeypatch.setattr(NoteQuerySet, "editable_by", widened(shared.editable))
    return shared


@pytest.fixture
def note(alice, as_alice):
    """A note of alice's that has everything, with a revision, its search index up to date."""
    fields = {
        "title": "secret",
        "content": "- [ ] one",
        "category": "secret",
        "tags": "secret\nred",
    }
    note = actions.create_note(**fields, by=Caller(alice), now=timezone.now())
    url = f"{API}/notes/{note.pk}"
    assert add(as_alice, url).status_code == 201
    as_alice.patch(url, {"content": "- [ ] two"}, format="json", HTTP_IF_MATCH="*")
    return Note.objects.get(pk=note.pk)


@pytest.fixture
def as_bob(bob):
    return client_of(bob)


def requests_of(note):
    """Return every request that writes, by a name: route, verb and number of its body."""
    requests = {}
    for route, verb in TABLE:
        section = route.partition("/")[0]
        if verb == "get" or section not in ("notes", "tags", "categories", "sync", "rewind"):
            continue
        for number, body in enumerate(bodies_of(route, verb, note)):
            requests[f"{verb} {route} {number}"] = (route, verb, body)
    return requests


def bodies_of(route, verb, note, operations=SYNC):
    if route == "notes/bulk":
        return [{**body, "ids": [note.pk]} for body in BULK]
    if route == "sync":
        base = {"base_version": note.version}
        operations = [each if each["op"] == "flag" else {**base, **each} for each in operations]
        return [{"changes": [{"id": note.pk, **each}]} for each in operations]
    if route == "rewind":
        return [{"to": note.created_at.isoformat()}]
    if route == "notes/<int:pk>" and verb != "delete":
        whole = {"title": "t", "content": "c"} if verb == "put" else {}
        return [{**whole, **body} for body in FIELDS]
    if route in FILES and verb in ("post", "put"):
        return [None]
    return [body_of(route, verb)]


def send(client, note, request):
    route, verb, body = request
    url = f"{API}/{path_to(route, note)}"
    if route in FILES and verb in ("post", "put"):
        return (
            add(client, f"{API}/notes/{note.pk}")
            if verb == "post"
            else client.put(
                url, {FILES[route]: SimpleUploadedFile("mine.txt", b"mine")}, format="multipart"
            )
        )
    return client.generic(verb.upper(), url, json.dumps(body) if body else b"", "application/json")


def everything(note):
    """Return all that is kept of a note but whether a reader has been given its state."""
    columns = [f.attname for f in Note._meta.concrete_fields if f.name != "state_given"]
    return (
        Note.objects.filter(pk=note.pk).values(*columns).get(),
        [*Revision.objects.filter(note=note).order_by("version").values()],
        [*note.attachments.order_by("pk").values()],
        [*note.taggings.order_by("folded").values("name", "owner")],
    )


def test_a_reader_writes_by_no_route(note, sharing, as_bob):
    """A note that is visible and not editable: every write route, every operation."""
    sharing.visible.append(note.pk)
    assert as_bob.get(f"{API}/notes/{note.pk}").status_code == 200
    before = everything(note)

    def check(request):
        answer = send(as_bob, note, request)
        assert answer.status_code in (200, 201, 204, 400, 403, 404, 409), answer.content
        assert everything(note) == before, answer.content

    requests = requests_of(note)
    assert len(requests) > 40
    assert failures(requests, check) == {}


ALLOWED = (
    "patch notes/<int:pk> 0",  # content
    "patch notes/<int:pk> 2",  # tags
    "put notes/<int:pk> 0",
    "put notes/<int:pk> 2",
    "put notes/<int:pk>/title 0",
    "post notes/<int:pk>/edits 0",
    "post notes/<int:pk>/revisions/<int:version>/restore 0",
    "patch notes/<int:pk>/revisions/<int:version> 0",
    "post notes/bulk 6",  # tag
    "post notes/bulk 7",  # untag
    "post sync 0",  # update
    "put notes/<int:pk>/file 0",
    "post notes/<int:pk>/attachments 0",
    "put notes/<int:pk>/attachments/<int:attachment_id> 0",
    "patch notes/<int:pk>/attachments/<int:attachment_id> 0",
    "delete notes/<int:pk>/attachments/<int:attachment_id> 0",
)


@pytest.mark.parametrize("name", ALLOWED)
def test_an_editor_writes_and_the_owner_hears_of_it(name, note, sharing, alice, as_bob, bob):
    sharing.visible.append(note.pk)
    sharing.editable.append(note.pk)
    before = everything(note)
    answer = send(as_bob, note, requests_of(note)[name])
    assert answer.status_code in (200, 201, 204), answer.content
    after = everything(note)
    assert after != before
    assert (after[0]["owner_id"], after[0]["category"]) == (alice.pk, "secret")
    assert all(tagging["owner"] == alice.pk for tagging in after[3])
    if after[0]["version"] > note.version:  # all but pinning, which is no change of the note
        for user in (alice, bob):
            last = Feed.objects.get(user=user).seq
            assert Change.objects.get(user=user, note=note.pk).seq == last


def test_an_editor_does_nothing_else(note, sharing, as_bob):
    """What only the owner does: category, flags, trash, deletion, tags and categories as such."""
    sharing.visible.append(note.pk)
    sharing.editable.append(note.pk)
    before = everything(note)
    # An upload changes the note when it is complete, which it is not here.
    requests = {name: it for name, it in requests_of(note).items() if name not in ALLOWED}

    def check(request):
        answer = send(as_bob, note, request)
        assert answer.status_code in (200, 201, 204, 400, 403, 404, 409), answer.content
        assert everything(note) == before, answer.content

    assert failures(requests, check) == {}


def test_restoring_leaves_the_category_to_the_owner(note, sharing, as_alice, as_bob):
    sharing.visible.append(note.pk)
    sharing.editable.append(note.pk)
    url = f"{API}/notes/{note.pk}"
    as_alice.patch(url, {"category": "Elsewhere", "tags": []}, format="json")
    answer = as_bob.post(f"{url}/revisions/{note.version}/restore")
    assert (answer.json()["category"], answer.json()["tags"]) == ("Elsewhere", ["secret", "red"])
    answer = as_alice.post(f"{url}/revisions/{note.version}/restore")
    assert answer.json()["category"] == "secret"


def test_a_rewind_looks_at_own_notes_alone(note, sharing, as_bob):
    """Otherwise a rewind would tell of what it does to them, and that for nothing."""
    sharing.visible.append(note.pk)
    body = {"to": note.created_at.isoformat(), "dry_run": True}
    assert as_bob.post(f"{API}/rewind", body, format="json").json()["changes"] == []


def test_a_batch_of_an_editor_moves_up_all_feeds(note, sharing, alice, as_bob, bob):
    """Notes of several owners in one call: each of them hears of theirs, the editor of all."""
    own = actions.create_note(title="own", by=Caller(bob), now=timezone.now())
    sharing.visible.append(note.pk)
    sharing.editable.append(note.pk)
    marks = {user: Feed.objects.get(user=user).seq for user in (alice, bob)}
    body = {"op": "tag", "tags": ["new"], "ids": [own.pk, note.pk]}
    answer = as_bob.post(f"{API}/notes/bulk", body, format="json")
    assert [each["status"] for each in answer.json()["results"]] == ["applied"] * 2
    assert Feed.objects.get(user=alice).seq == marks[alice] + 1
    assert Feed.objects.get(user=bob).seq == marks[bob] + 2
    note_ids = Change.objects.filter(seq__gt=marks[bob], user=bob).values_list("note", flat=True)
    assert {*note_ids} == {own.pk, note.pk}
    update = {"op": "update", "id": note.pk, "base_version": note.version + 1, "title": "x"}
    answer = as_bob.post(f"{API}/sync", {"changes": [update]}, format="json")
    assert answer.json()["results"][0]["status"] == "applied"
    assert Feed.objects.get(user=alice).seq == marks[alice] + 2


def test_a_reader_is_told_what_they_may_not(note, sharing, as_bob):
    """Who knows of the note gets 403, and in a batch the same for the note."""
    sharing.visible.append(note.pk)
    url = f"{API}/notes/{note.pk}"
    assert as_bob.patch(url, {"title": "x"}, format="json").status_code == 403
    assert as_bob.delete(url).status_code == 403
    for operation in SYNC:
        (body,) = bodies_of("sync", "post", note, [operation])
        (result,) = as_bob.post(f"{API}/sync", body, format="json").json()["results"]
        assert (result["status"], result["problem"]["status"]) == ("refused", 403)
