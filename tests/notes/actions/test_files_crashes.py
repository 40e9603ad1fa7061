"""The process dies at any step of adding, replacing and removing a file.

What is there then is all of before or all of after; the next request goes on, and one sweep leaves
nothing that nobody has.
"""

import contextlib
import datetime as dt
import itertools

import pytest
from django.utils import timezone

from notes import events
from notes.actions import attachment_rows, attachments
from notes.files import objects, reconciling, storage
from notes.models import Attachment, KeptFile, StoredObject
from tests.notes.files import add, fetch, new_note, path_of, replace
from tests.pairwise import pairwise

pytestmark = pytest.mark.django_db(transaction=True)
# The large one goes in parts where the storage is a bucket, as set below.
CONTENTS = {"small": b"new", "large": b"large" * 2**20}
STORAGES = ["folder", "bucket"]


class Died(BaseException):
    pass


class DyingWriter:
    """A writer that dies in a method, before or after it has done its work."""

    def __init__(self, writer, method, when):
        self.writer, self.method, self.when = writer, method, when

    def __getattr__(self, name):
        real = getattr(self.writer, name)
        return dying(real, self.when) if name == self.method else real


def dying(real, when):
    def die(*args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        raise Died

    return die


# Where the process dies: a module's function, or a method of the writer.
IN_ALL = [(storage, "open_writer"), "write", "finish", (objects, "make_owned")]
IN_THE_TRANSACTION = [
    (objects, "make_ready"),
    (attachments, "lock"),
    (attachments, "write"),
    (attachment_rows, "sync_rows"),
    (events, "record"),
]
AFTER_IT = [
    (storage, "delete"),
    (storage, "abort_parts"),
    (objects, "_mark_deleted"),
    (objects, "discard"),
]


def crashes(*steps):
    """Return every step with both of the moments when the process may die there."""
    return list(itertools.product(steps, ["before", "after"]))


def name_of(value):
    """Return what a case is called: a crash by its step and moment, the rest by itself."""
    if isinstance(value, str):
        return value
    step, when = value
    owner, name = ("writer", step) if isinstance(step, str) else (step[0].__name__, step[1])
    return f"{when} {owner.rpartition('.')[2]}.{name}"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("notes.files.s3.PART_BYTES", 5 * 2**20)


@pytest.fixture(autouse=True)
def writers(monkeypatch):
    """Close what a process that dies closes by that: nothing else is done for it."""
    opens, opened = storage.open_writer, []

    def open_writer(*args, **kwargs):
        opened.append(opens(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(storage, "open_writer", open_writer)
    yield
    for writer in opened:
        writer.abort()


@pytest.fixture
def die_at(monkeypatch):
    def arrange(patched, crash):
        step, when = crash
        if isinstance(step, str):
            opens = storage.open_writer

            def open_writer(*args, **kwargs):
                return DyingWriter(opens(*args, **kwargs), step, when)

            patched.setattr(storage, "open_writer", open_writer)
        else:
            module, name = step
            patched.setattr(module, name, dying(getattr(module, name), when))

    return arrange


def assert_whole(client, url, contents, stored_keys):
    """Every file is there as it was sent, and after one sweep nothing else."""
    files = client.get(f"{url}/attachments").json()["results"]
    assert sorted(fetch(client, file["url"])[2] for file in files) == sorted(contents)
    later = timezone.now() + dt.timedelta(hours=2)
    report = reconciling.reconcile(now=later, verify=True)
    assert report.is_whole
    rows = StoredObject.objects.all()
    assert {row.state for row in rows} <= {"ready"}
    assert stored_keys() == {row.key for row in rows}
    held = set(Attachment.objects.values_list("object", flat=True))
    held |= set(KeptFile.objects.values_list("object", flat=True))
    assert held == {row.pk for row in rows}
    assert sorted(fetch(client, file["url"])[2] for file in files) == sorted(contents)
    assert list(storage.unfinished()) == []


# While bytes come, it matters how they go: a large file goes to a bucket in parts.
STORING = [
    (crash, place, size, how)
    for crash, (place, size), how in pairwise(
        crashes(*IN_ALL), itertools.product(STORAGES, CONTENTS), ["add", "replace"]
    )
]
STORING += pairwise(crashes(*IN_THE_TRANSACTION), STORAGES, CONTENTS, ["add", "replace"])


@pytest.mark.parametrize(
    ("crash", "stored_keys", "size", "how"), STORING, ids=name_of, indirect=["stored_keys"]
)
def test_storing(as_alice, stored_keys, monkeypatch, die_at, crash, size, how):
    url, content = new_note(as_alice), CONTENTS[size]
    old = path_of(add(as_alice, url, b"old").json()["url"])

    def store():
        if how == "add":
            return add(as_alice, url, content)
        return replace(as_alice, old, content)

    version = as_alice.get(url).json()["version"]
    with monkeypatch.context() as patched:
        die_at(patched, crash)
        with pytest.raises(Died):
            store()
    assert as_alice.get(url).json()["version"] == version
    assert_whole(as_alice, url, [b"old"], stored_keys)
    assert store().status_code in (200, 201)
    after = [b"old", content] if how == "add" else [content]
    assert_whole(as_alice, url, after, stored_keys)


@pytest.mark.parametrize("crash", crashes(*AFTER_IT), ids=name_of)
def test_the_same_bytes_again(as_alice, stored_keys, monkeypatch, die_at, crash):
    """The second object goes after the commit that has taken the first one."""
    url = new_note(as_alice)
    add(as_alice, url, b"same")
    with monkeypatch.context() as patched:
        die_at(patched, crash)
        with contextlib.suppress(Died):
            add(as_alice, url, b"same")
    assert_whole(as_alice, url, [b"same", b"same"], stored_keys)


REMOVING = pairwise(crashes(*IN_THE_TRANSACTION), STORAGES, ["permanently", "to the trash"])
# Only what goes for good takes an object with it.
REMOVING += itertools.product(crashes(*AFTER_IT), STORAGES, ["permanently"])


@pytest.mark.parametrize(
    ("crash", "stored_keys", "how"), REMOVING, ids=name_of, indirect=["stored_keys"]
)
def test_removing(as_alice, stored_keys, monkeypatch, die_at, crash, how):
    query = "?permanent=true" if how == "permanently" else ""
    url = new_note(as_alice)
    file = path_of(add(as_alice, url, b"old").json()["url"])
    add(as_alice, url, b"other")
    version = as_alice.get(url).json()["version"]
    with monkeypatch.context() as patched:
        die_at(patched, crash)
        with contextlib.suppress(Died):
            as_alice.delete(f"{file}{query}")
    is_removed = as_alice.get(url).json()["version"] > version
    assert_whole(as_alice, url, [b"other"] if is_removed else [b"old", b"other"], stored_keys)
    assert as_alice.delete(f"{file}{query}").status_code == (404 if is_removed else 204)
    assert_whole(as_alice, url, [b"other"], stored_keys)
    if query:
        assert len(stored_keys()) == 1


@pytest.mark.parametrize("crash", crashes(*AFTER_IT), ids=name_of)
def test_deleting_the_note(as_alice, stored_keys, monkeypatch, die_at, crash):
    url = new_note(as_alice)
    file = path_of(add(as_alice, url, b"old").json()["url"])
    replace(as_alice, file, b"new")
    with monkeypatch.context() as patched:
        die_at(patched, crash)
        with contextlib.suppress(Died):
            as_alice.delete(f"{url}?permanent=true")
    assert as_alice.get(url).status_code == 404
    reconciling.reconcile(now=timezone.now())
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()
