"""Hostile files: what is refused is refused well, what is kept hurts nobody."""

import hashlib
import json
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from accounts.callers import Caller
from notes.actions import attachments
from notes.files import filetypes, thumbnails
from notes.models import Note, StoredObject, Thumbnail
from tests.cases import failures
from tests.notes.api.harmless import (
    PICTURES,
    SERVED_AS,
    assert_harmless,
    assert_name_is_harmless,
    displayed,
    follow,
    form,
    is_problem,
    part,
    post,
)
from tests.notes.api.hostile_files import FILES, HOSTILE_CONTENTS, NAMES
from tests.notes.files import new_note, path_of, stored

ONCE = pytest.mark.django_db  # in a transaction that is never committed: quicker
COMMITTED = pytest.mark.django_db(transaction=True)
IN_A_FOLDER = pytest.mark.parametrize("stored_keys", ["folder"], indirect=True)
IN_A_BUCKET = pytest.mark.parametrize("stored_keys", ["bucket"], indirect=True)

FILES_OF_A_NOTE = 50  # a new note comes then: a change to one with many files takes longer
# One of each kind, and of what went wrong in other services most often.
ALONE = [
    "name: traversal",
    "name: CR and LF",
    "name: 100,000 characters",
    "name: bytes of no UTF-8",
    "disposition: RFC 5987 with lines",
    "type: HTML",
    "active: drawing.svg",
    "polyglot: page.gif",
    "bomb: 60000x60000.png",
    "broken: empty",
]


def test_every_name_is_cleaned():
    assert failures(NAMES, lambda name: assert_name_is_harmless(filetypes.clean_name(name))) == {}


def test_every_content_has_a_type_that_hurts_nobody():
    def check(content):
        content_type = filetypes.content_type_of(content)
        assert content_type in SERVED_AS
        if content_type in PICTURES:
            assert PICTURES[content_type].match(content)

    assert failures({file.case: file.content for file in HOSTILE_CONTENTS}, check) == {}


class Poster:
    """Posts files to notes and looks at them from everywhere."""

    def __init__(self, client, anonymous, stored_keys):
        self.client, self.anonymous, self.stored_keys = client, anonymous, stored_keys
        self.note_url = new_note(client)
        self.attached = []  # the note's files, each with what was sent

    def post(self, file):
        """Post a file; check what the answer says of it, or that nothing of it is there."""
        answer = post(self.client, self.note_url, form(file.part()))
        if answer.status_code != 201:
            assert is_problem(answer), answer.content
            # Any bytes may be kept: what is refused is refused for its headers.
            assert file not in HOSTILE_CONTENTS
            listed = self.client.get(self.note_url).json()["attachments"]
            assert listed == [described for described, _ in self.attached]
            assert self.stored_keys() == set(StoredObject.objects.values_list("key", flat=True))
            assert not StoredObject.objects.unused().exists()
            return
        described = answer.json()
        self.attached.append((described, file))
        assert_name_is_harmless(described["name"])
        assert described["content_type"] in SERVED_AS
        assert described["size"] == len(file.content)
        assert described["sha256"] == hashlib.sha256(file.content).hexdigest()

    def look(self):
        """Check the note's files wherever they are given or shown; return what is wrong."""
        paths = [f"{self.note_url}/attachments/{each['id']}" for each, _ in self.attached]
        content = "\n".join(f"![x]({path}?inline=1)" for path in paths)
        answer = self.client.patch(self.note_url, {"content": content}, format="json")
        assert answer.status_code == 200
        listed = [described for described, _ in self.attached]
        assert self.client.get(self.note_url).json()["attachments"] == listed
        assert self.client.get(f"{self.note_url}/attachments").json()["results"] == listed
        feed = self.client.get("/api/v1/sync")
        assert feed.status_code == 200

        def check(case):
            (described, file), path, shown = case
            name = described["name"]
            expected = {"name": name, "content": file.content}
            assert_harmless(follow(self.client, path), **expected, is_inline=False)
            assert_harmless(follow(self.client, f"{path}?inline=1"), **expected, is_inline=True)
            assert_harmless(follow(self.anonymous, shown), **expected, is_inline=True)
            assert json.dumps(name, ensure_ascii=False) in feed.content.decode()

        addresses = displayed(self.client, self.note_url)
        cases = zip(self.attached, paths, addresses, strict=True)
        return failures({case[0][1].case: case for case in cases}, check)


def failures_of(files, *, client, anonymous, stored_keys):
    """Post files, many to a note, and look at them; return what is wrong, by the case."""
    failed = {}
    for start in range(0, len(files), FILES_OF_A_NOTE):
        poster = Poster(client, anonymous, stored_keys)
        posted = {file.case: file for file in files[start : start + FILES_OF_A_NOTE]}
        failed |= failures(posted, poster.post)
        failed |= poster.look()
    return failed


@ONCE
@IN_A_FOLDER
@pytest.mark.parametrize("case", ALONE)
def test_a_file_is_kept_harmless_or_refused(as_alice, anonymous, stored_keys, case):
    """In an account that has nothing else."""
    (file,) = [file for file in FILES if file.case == case]
    poster = Poster(as_alice, anonymous, stored_keys)
    poster.post(file)
    assert poster.look() == {}


@COMMITTED
@IN_A_FOLDER
@pytest.mark.parametrize("kind", sorted({file.kind for file in FILES}))
def test_files_are_kept_harmless_or_refused(as_alice, anonymous, stored_keys, kind):
    files = [file for file in FILES if file.kind == kind]
    clients = {"client": as_alice, "anonymous": anonymous}
    assert failures_of(files, **clients, stored_keys=stored_keys) == {}


@COMMITTED
@IN_A_BUCKET
@pytest.mark.parametrize("kind", ["name", "disposition", "type", "content"])
def test_files_are_kept_harmless_or_refused_in_a_bucket(as_alice, anonymous, stored_keys, kind):
    """What is in a file matters little: the headers are the bucket's, what they say is ours."""
    files = [file for file in FILES if file.kind == kind] or HOSTILE_CONTENTS[::5]
    clients = {"client": as_alice, "anonymous": anonymous}
    assert failures_of(files, **clients, stored_keys=stored_keys) == {}


@COMMITTED
@IN_A_FOLDER
def test_the_worker_survives_every_picture(alice, as_alice, stored_keys):
    pictures = [
        file
        for file in HOSTILE_CONTENTS
        if any(signature.match(file.content) for signature in PICTURES.values())
    ]
    note = Note.objects.get(pk=new_note(as_alice).rpartition("/")[2])
    for file in pictures:
        row = stored(file.content)
        now = timezone.now()
        attachments.add_file(note=note, name=file.name, stored=row, by=Caller(alice), now=now)
    fields = ("key", "state", "size", "sha256", "content_type", "width", "height", "owner")
    before = set(StoredObject.objects.values_list("pk", *fields))
    assert len(before) == len(pictures) > 80
    due = set(StoredObject.objects.exclude(thumbnails_due_at=None).values_list("pk", flat=True))
    made = 0
    while thumbnails.make_due():
        made += 1
    assert made == len(due)
    assert not StoredObject.objects.exclude(thumbnails_due_at=None).exists()
    shown = Thumbnail.objects.values_list("object", flat=True)
    assert set(StoredObject.objects.exclude(pk__in=shown).values_list("pk", *fields)) == before
    sources = set(Thumbnail.objects.values_list("source", flat=True))
    assert sources < due
    assert len(sources) > 20
    assert len(stored_keys()) == StoredObject.objects.count()
    for file in as_alice.get(f"/api/v1/notes/{note.pk}/attachments").json()["results"]:
        if file["thumbnail"] is None:
            continue
        answer = as_alice.get(urlsplit(file["thumbnail"]).path)
        if answer.status_code == 404:
            assert answer.json()["code"] == "no_thumbnail"
            continue
        assert answer.headers["Content-Type"] == "image/webp"
        assert PICTURES["image/webp"].match(b"".join(answer.streaming_content))


@COMMITTED
@IN_A_FOLDER
def test_names_in_json_are_kept_harmless_or_refused(as_alice, stored_keys):
    note_url = new_note(as_alice)
    path = path_of(post(as_alice, note_url, form(part(b"x"))).json()["url"])
    announcement = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}

    def check(name):
        for method, address, more in (
            ("PATCH", path, {}),
            ("POST", f"{note_url}/attachments/uploads", announcement),
        ):
            # Surrogates go as escapes, as JSON may have them.
            body = json.dumps({"name": name, **more})
            answer = as_alice.generic(method, address, body, content_type="application/json")
            if answer.status_code in (200, 201):
                assert_name_is_harmless(answer.json()["name"])
            else:
                assert is_problem(answer), answer.content
        (file,) = as_alice.get(f"{note_url}/attachments").json()["results"]
        assert_harmless(follow(as_alice, path), name=file["name"], content=b"x", is_inline=False)

    assert failures(NAMES, check) == {}
