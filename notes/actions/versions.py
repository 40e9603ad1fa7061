"""From one version of a note to the next: lock, check, keep what is replaced, write.

Every action that changes a note goes through :func:`lock` and :func:`write` or
:func:`bump_version`, or through :func:`plan_write` and a statement of
``notes.actions.single_statement``.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Greatest

from accounts.models import User
from cloudnotes.api.errors import DomainError
from cloudnotes.db.compiled_queries import InstanceQuery, Parameter
from notes.actions import attachment_rows, taggings
from notes.models import Note, Revision, attachments
from notes.models.notes import MAX_CONTENT_BYTES, NoteQuerySet
from notes.models.tags import MAX_TAGS, split

# A client that saves every few seconds makes one revision in this time, not a hundred.
COALESCED_WITHIN = dt.timedelta(minutes=5)
# Longer by what the clocks of two hosts may differ.
SEEN_WITHIN = COALESCED_WITHIN + dt.timedelta(minutes=1)

WRITE_BATCH_SIZE = 1000
# What its writer may go on with.
COALESCIBLE_CAUSES = (Note.Cause.CREATE, Note.Cause.EDIT, Note.Cause.FILE)

Expected = Collection[int] | None


class NoteGone(DomainError):
    """The note was deleted, or moved to the trash, between the look and the lock."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


class StaleVersion(DomainError):
    """The note is not in a version that the caller expects it to be in.

    ``note_id`` tells the entrance whose current state to add to the problem.
    """

    status = 412
    code = "stale_version"
    detail = (
        "The note has changed since the version that you named. Take it from `current`, bring your "
        "change into it and send that with its version."
    )

    def __init__(self, note: Note) -> None:
        super().__init__()
        self.note_id = note.pk


class ContentTooLong(DomainError):
    """What a change would make of the content is above the limit."""

    status = 400
    code = "max_bytes"
    detail = f"The note's content would have more than {MAX_CONTENT_BYTES} bytes in UTF-8."
    field = "content"


class TooManyTags(DomainError):
    """What a change would make of the tags is above the limit."""

    status = 400
    code = "too_many_tags"
    detail = f"A note would have more than {MAX_TAGS} tags."
    field = "tags"


LOCKED = InstanceQuery(lambda: Note.objects.select_for_update().filter(pk=Parameter("note")))


def lock(note: Note, *, expected: Expected = None, even_trashed: bool = False) -> Note:
    """Return the note as it is now, its row locked until the transaction ends.

    ``expected`` are the versions that the caller knows of, None for whatever it is. Raises
    :class:`NoteGone` and :class:`StaleVersion`.
    """
    locked = LOCKED.first(note=note.pk)
    if locked is None or (locked.trashed_at is not None and not even_trashed):
        raise NoteGone
    check(locked, expected)
    return locked


def check(note: Note, expected: Expected) -> None:
    """Raise :class:`StaleVersion` for a note in another version than one of ``expected``."""
    if expected is not None and note.version not in expected:
        raise StaleVersion(note)


def write(
    note: Note, changes: dict[str, Any], *, by: User | None, cause: Note.Cause, now: dt.datetime
) -> bool:
    """Bring a locked note into its next state and return whether that differs.

    ``changes`` are of the columns in ``fields.VERSIONED``. What is replaced is kept as a revision,
    unless the write goes on with what its author has just begun (see :func:`_can_coalesce`). A
    write that changes nothing leaves the version alone. Raises :class:`ContentTooLong`.
    """
    if "files" in changes:
        changes = {**changes, "files": attachment_rows.lock_objects(note, changes["files"])}
    changed, keeps, now = plan_write(note, changes, by=by, cause=cause, now=now)
    if not changed:
        _mark_seen_locked(note, by)
        return False
    if keeps:
        Revision.of(note, replaced_at=now).save(force_insert=True)
    apply_changes(note, changes, keeps=keeps, by=by, cause=cause, now=now)
    state = ("version", "since", "by", "cause", "credential", "given")
    bump_version(note, fields=[*changed, *(f"state_{name}" for name in state)], now=now)
    if "tags" in changed:
        taggings.sync_rows([note.pk])
    if "files" in changed:
        attachment_rows.sync_rows(note)
    return True


def write_all(
    ids: Sequence[int], changes: dict[str, Any], *, by: User, cause: Note.Cause, now: dt.datetime
) -> None:
    """Bring locked notes, all of which the changes change, into their next states.

    ``changes`` are values, or expressions, of the columns in ``fields.VERSIONED``. A few
    statements for 1,000 notes at a time.
    """
    later = Greatest(F("updated_at"), Value(now, DateTimeField()))
    for start in range(0, len(ids), WRITE_BATCH_SIZE):
        batch = ids[start : start + WRITE_BATCH_SIZE]
        Revision.objects.all().snapshot(batch, now=now)
        Note.objects.filter(pk__in=batch).update(
            **changes,
            version=F("version") + 1,
            updated_at=later,
            state_version=F("version") + 1,
            state_since=later,
            state_by=by,
            state_cause=cause,
            state_credential=by.credential,
            state_given=False,
        )
        if "tags" in changes:
            taggings.sync_rows(batch)


def plan_write(
    note: Note, changes: dict[str, Any], *, by: User | None, cause: Note.Cause, now: dt.datetime
) -> tuple[list[str], bool, dt.datetime]:
    """Return which fields a write changes, whether it keeps what it replaces, and when it is.

    Raises :class:`ContentTooLong` and :class:`TooManyTags`.
    """
    changed = [name for name, value in changes.items() if getattr(note, name) != value]
    if len(changes.get("content", "").encode()) > MAX_CONTENT_BYTES:
        raise ContentTooLong
    if len(split(changes.get("tags", ""))) > MAX_TAGS:
        raise TooManyTags
    now = max(now, note.updated_at)  # the clock of another host may be ahead
    return changed, not _can_coalesce(note, changes, changed, by=by, cause=cause, now=now), now


def apply_changes(
    note: Note,
    changes: dict[str, Any],
    *,
    keeps: bool,
    by: User | None,
    cause: Note.Cause,
    now: dt.datetime,
) -> None:
    """Give a note, in memory, the state that a write makes of it; the version comes after that."""
    for name, value in changes.items():
        setattr(note, name, value)
    if keeps:
        note.state_since = now
    note.state_version = note.version + 1
    note.state_by, note.state_cause = by, cause
    note.state_credential, note.state_given = by.credential if by else "", False


def bump_version(note: Note, *, fields: Sequence[str] = (), now: dt.datetime) -> None:
    """Save ``fields`` of a locked note as its next version."""
    note.version += 1
    note.updated_at = max(now, note.updated_at)
    note.save(update_fields=[*fields, "version", "updated_at"])


def mark_seen(notes: Sequence[Note], *, within: NoteQuerySet, now: dt.datetime) -> list[Note]:
    """Return notes for a reader, who may come back with what they say as the base of a change.

    A state that could still be coalesced is marked first, under the note's lock, and read again
    from ``within``: whatever a reader gets stays in the history. Older states cost no query.
    """
    ids = {note.pk for note in notes if is_coalescible(note, now)}
    if not ids:
        return list(notes)
    with transaction.atomic():
        rows = Note.objects.filter(pk__in=ids)
        # In the order of their ids, so that two readers never wait for each other.
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        rows.update(state_given=True)
        current = {note.pk: note for note in within.filter(pk__in=ids)}
    return [
        current.get(note.pk, note) for note in notes if note.pk not in ids or note.pk in current
    ]


def is_coalescible(note: Note, now: dt.datetime) -> bool:
    """Return whether a note's state has to be marked before a reader is given it."""
    return _may_coalesce(note) and now - note.state_since <= SEEN_WITHIN


def coalescible(since: Any) -> Q:
    """Return :func:`is_coalescible` as a condition; ``since`` is ``now - SEEN_WITHIN``."""
    unseen = Q(state_given=False, state_cause__in=COALESCIBLE_CAUSES, state_since__gte=since)
    return unseen & ~Q(state_credential="")


def _may_coalesce(note: Note) -> bool:
    """Return whether the writer of a state could still go on with it."""
    return (
        not note.state_given
        and note.state_credential != ""
        and note.state_cause in COALESCIBLE_CAUSES
    )


def _mark_seen_locked(note: Note, by: User | None) -> None:
    """Mark the state of a locked note for a writer who changes nothing and is told what it says."""
    if _may_coalesce(note) and by and by.credential != note.state_credential:
        note.state_given = True
        note.save(update_fields=["state_given"])


def _can_coalesce(
    note: Note,
    changes: dict[str, Any],
    changed: list[str],
    *,
    by: User | None,
    cause: Note.Cause,
    now: dt.datetime,
) -> bool:
    """Return whether a state needs no revision of its own: nothing and nobody would miss it.

    The same author with the same credential goes on writing within minutes of the state's
    beginning, no reader was given it, and all it says still stands, with something more.
    """
    return (
        by is not None
        and _may_coalesce(note)
        and (by.pk, by.credential) == (note.state_by_id, note.state_credential)
        and cause in (Note.Cause.EDIT, Note.Cause.FILE)
        # Who types may still hold the version before the first of some files as a base.
        and (cause == Note.Cause.FILE) == (note.state_cause == Note.Cause.FILE)
        and now - note.state_since <= COALESCED_WITHIN
        and set(changed) <= ADDED_TO.keys()
        and all(ADDED_TO[name](getattr(note, name), changes[name]) for name in changed)
    )


def _only_inserts(old: str, new: str) -> bool:
    """Return whether ``new`` is ``old`` with text inserted at one place."""
    low, high = 0, len(old) + 1  # old[:low] begins new, old[:high] does not
    while high - low > 1:
        middle = (low + high) // 2
        if new.startswith(old[low:middle], low):
            low = middle
        else:
            high = middle
    return len(new) >= len(old) and new.endswith(old[low:])


def _only_adds(old: str, new: str) -> bool:
    """Return whether the files that a note keeps are those of before and others."""
    return set(attachments.split(old)) <= set(attachments.split(new))


# What tells of a field whether all it said still stands.
ADDED_TO = {"title": _only_inserts, "content": _only_inserts, "files": _only_adds}
