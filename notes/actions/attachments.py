"""A note's main file: stored, replaced, removed."""

import datetime as dt
import io
from typing import IO

from django.conf import settings
from django.db import transaction

from accounts.models import User
from cloudnotes.errors import DomainError
from notes import events, storage
from notes.actions import objects
from notes.actions.versions import Expected, check, lock, touch
from notes.models import Attachment, Note


class FileTooLarge(DomainError):
    """The file is above ``MAX_FILE_BYTES``."""

    status = 413
    code = "file_too_large"
    field = "file"


def store_file(
    *,
    note: Note,
    name: str,
    content: IO[bytes],
    by: User,
    now: dt.datetime,
    expected: Expected = None,
) -> Note:
    """Make ``content`` the note's file in place of the one it may have, and return the note.

    In two phases, so that a crash between any two steps loses nothing: the row that announces the
    object, the object, and then, in one transaction, the object counts and the one before it is
    let go. Until that commit the note has the file that it had.

    Raises :class:`FileTooLarge`, :class:`notes.storage.StorageUnavailable`,
    :class:`notes.actions.objects.UploadTooSlow`, :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    if content.seek(0, io.SEEK_END) > settings.MAX_FILE_BYTES:
        raise FileTooLarge(f"A file has at most {settings.MAX_FILE_BYTES} bytes.")
    check(note, expected)  # before a long upload that would be refused after it
    key = objects.store(content=content, content_type=storage.content_type_of(content))
    try:
        return _attach(key, note=note, name=name, by=by, now=now, expected=expected)
    except DomainError:
        objects.discard(key)
        raise


def _attach(
    key: str, *, note: Note, name: str, by: User, now: dt.datetime, expected: Expected
) -> Note:
    with transaction.atomic():
        note = lock(note, expected=expected)
        stored = objects.make_ready(key=key)
        objects.delete_after_commit(attachments__note=note)
        Attachment.objects.filter(note=note).delete()
        note.attachment = Attachment.objects.create(
            note=note, object=stored, name=storage.clean_name(name), created_at=now
        )
        touch(note, now=now)
        events.record("file_stored", note=note, by=by)
    return note


def remove_file(*, note: Note, by: User, now: dt.datetime, expected: Expected = None) -> Note:
    """Take the note's file away, if it has one, and return the note.

    Raises :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        if note.get_attachment() is not None:
            objects.delete_after_commit(attachments__note=note)
            Attachment.objects.filter(note=note).delete()
            touch(note, now=now)
            events.record("file_removed", note=note, by=by)
    return note
