"""Writing notes. The one road by which a note changes."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.models import User
from cloudnotes.errors import DomainError
from notes import events
from notes.actions import objects
from notes.models import Note


class NoteGone(DomainError):
    """The note was deleted between the look and the lock."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


def create_note(
    *, title: str, content: str, by: User, now: dt.datetime, category: str = ""
) -> Note:
    """Make and return a note that belongs to ``by``."""
    with transaction.atomic():
        note = Note.objects.create(
            owner=by,
            title=title,
            content=content,
            category=category,
            created_at=now,
            updated_at=now,
        )
        Note.attachment.related.set_cached_value(note, None)  # it has none: spares a query
        events.record("note_created", note=note, by=by)
    return note


def update_note(*, note: Note, changes: dict[str, Any], by: User, now: dt.datetime) -> Note:
    """Set the fields of ``changes`` (``title``, ``content``, ``category``) and return the note.

    Only what differs is written, and a write that changes nothing leaves the version alone.
    Raises :class:`NoteGone`.
    """
    with transaction.atomic():
        note = lock(note)
        changed = [name for name, value in changes.items() if getattr(note, name) != value]
        for name in changed:
            setattr(note, name, changes[name])
        if changed:
            touch(note, fields=changed, now=now)
            events.record("note_updated", note=note, by=by)
    return note


def delete_note(*, note: Note, by: User) -> None:
    """Delete a note for good with its file; the object goes after the commit.

    Raises :class:`NoteGone`.
    """
    with transaction.atomic():
        note = lock(note)
        events.record("note_deleted", note=note, by=by)
        objects.delete_after_commit(attachments__note=note)
        Note.objects.filter(pk=note.pk).delete()


def lock(note: Note) -> Note:
    """Return the note as it is now with its file, its row locked until the transaction ends.

    Locked first and read by a second statement: PostgreSQL reads the locked row anew when it has
    waited, but rows that are joined to it as they were before. Raises :class:`NoteGone`.
    """
    if not Note.objects.select_for_update().filter(pk=note.pk).values_list("pk").first():
        raise NoteGone
    return Note.objects.with_file().get(pk=note.pk)


def touch(note: Note, *, fields: list[str], now: dt.datetime) -> None:
    """Save ``fields`` of a locked note as its next version."""
    note.version += 1
    note.updated_at = now
    note.save(update_fields=[*fields, "version", "updated_at"])
