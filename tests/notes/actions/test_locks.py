"""The order of locks, where two writers once waited for each other (docs/architecture.md)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.callers import Caller
from notes.actions import attachments
from notes.actions import notes as note_actions
from notes.models import Note
from tests.notes.files import stored
from tests.waiting import TIMEOUT_SECONDS, until

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def is_somebody_at_a_lock():
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone()[0] > 0


def test_an_edit_and_an_upload_of_the_same_bytes_do_not_wait_for_each_other(alice):
    """The snapshot's foreign key locks the object at the commit, when the feed is held already."""
    now = timezone.now()
    by = Caller(alice)
    edited = note_actions.create_note(title="a", content="one", by=by, now=now)
    other = note_actions.create_note(title="b", content="", by=by, now=now)
    attachments.add_file(note=edited, name="a.txt", stored=stored(b"same"), by=by, now=now)
    Note.objects.update(state_given=True)
    has_edited, is_somebody_waiting = threading.Event(), threading.Event()

    def edit():
        with transaction.atomic():
            note_actions.update_note(
                note=edited, changes={"content": "two"}, by=by, now=timezone.now()
            )
            has_edited.set()
            assert is_somebody_waiting.wait(TIMEOUT_SECONDS)
        connection.close()

    def attach():
        assert has_edited.wait(TIMEOUT_SECONDS)
        row = stored(b"same")
        attachments.add_file(note=other, name="b.txt", stored=row, by=by, now=timezone.now())
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        writes = [pool.submit(edit), pool.submit(attach)]
        # Not in the transaction of a writer, which would see one moment of the activity alone.
        until(is_somebody_at_a_lock, "the upload at the feed")
        is_somebody_waiting.set()
        for write in writes:
            write.result()
    assert Note.objects.get(pk=edited.pk).content == "two"
    assert "b.txt" in Note.objects.get(pk=other.pk).files
