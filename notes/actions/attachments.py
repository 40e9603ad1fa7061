"""A note's main file: stored, replaced, removed."""

import datetime as dt
import hashlib
from typing import IO

from django.conf import settings
from django.db import transaction

from accounts.models import User
from cloudnotes.errors import DomainError
from notes import events, storage
from notes.actions import objects
from notes.actions.notes import lock, touch
from notes.models import Attachment, Note, StoredObject

READ_BYTES = 2**20


class FileTooLarge(DomainError):
    """The file is above ``MAX_FILE_BYTES``."""

    status = 413
    code = "file_too_large"
    field = "file"


class UploadTooSlow(DomainError):
    """The upload took so long that the sweeper has given it up."""

    status = 503
    code = "upload_too_slow"
    detail = "The upload took too long and was given up. Please try again."


def store_file(*, note: Note, name: str, content: IO[bytes], by: User, now: dt.datetime) -> Note:
    """Make ``content`` the note's file in place of the one it may have, and return the note.

    In two phases, so that a crash between any two steps loses nothing: the row that announces the
    object, the object, and then, in one transaction, the object counts and the one before it is
    let go. Until that commit the note has the file that it had.

    Raises :class:`FileTooLarge`, :class:`notes.storage.StorageUnavailable`,
    :class:`UploadTooSlow` and :class:`notes.actions.notes.NoteGone`.
    """
    announced = _announce(content)
    storage.put(announced.key, content, announced.content_type)
    try:
        return _attach(announced, note=note, name=name, by=by, now=now)
    except DomainError:
        objects.discard(announced)
        raise


def _attach(announced: StoredObject, *, note: Note, name: str, by: User, now: dt.datetime) -> Note:
    with transaction.atomic():
        note = lock(note)
        _make_ready(announced)
        objects.delete_after_commit(attachments__note=note)
        Attachment.objects.filter(note=note).delete()
        note.attachment = Attachment.objects.create(
            note=note, object=announced, name=storage.clean_name(name), created_at=now
        )
        touch(note, fields=[], now=now)
        events.record("file_stored", note=note, by=by)
    return note


def remove_file(*, note: Note, by: User, now: dt.datetime) -> Note:
    """Take the note's file away, if it has one, and return the note.

    Raises :class:`notes.actions.notes.NoteGone`.
    """
    with transaction.atomic():
        note = lock(note)
        if note.get_attachment() is not None:
            objects.delete_after_commit(attachments__note=note)
            Attachment.objects.filter(note=note).delete()
            touch(note, fields=[], now=now)
            events.record("file_removed", note=note, by=by)
    return note


def _announce(content: IO[bytes]) -> StoredObject:
    """Return the committed row of an object that is about to be stored."""
    digest, size = hashlib.sha256(), 0
    content.seek(0)
    while chunk := content.read(READ_BYTES):
        digest.update(chunk)
        size += len(chunk)
    if size > settings.MAX_FILE_BYTES:
        raise FileTooLarge(f"A file has at most {settings.MAX_FILE_BYTES} bytes.")
    return StoredObject.objects.create(
        key=storage.new_key(),
        size=size,
        sha256=digest.hexdigest(),
        content_type=storage.content_type_of(content),
    )


def _make_ready(announced: StoredObject) -> None:
    locked = (
        StoredObject.objects.select_for_update()
        .filter(pk=announced.pk, state=StoredObject.State.PENDING)
        .first()
    )
    if locked is None:
        raise UploadTooSlow
    announced.state = StoredObject.State.READY
    announced.save(update_fields=["state"])
