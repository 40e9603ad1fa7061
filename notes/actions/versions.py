"""Write the next version of a note: lock, check, snapshot, write.

Every action that changes a note goes through :func:`lock` and :func:`write` or
:func:`bump_version`, or through :func:`plan_write` and a statement of
``notes.actions.single_statement``.

A note's *state* is the values of its versioned fields. A write that changes them either takes a
*snapshot* first (it copies the old state into a revision), or *coalesces* (it overwrites the old
state and keeps no copy). Which one is decided by the old state::

    new state      coalescible if its cause is CREATE, EDIT or FILE and it has a credential
     |  a reader gets it: marked as seen (column ``state_given``), no longer coalescible
     |  the same user and credential edit it within 5 minutes and only insert text (at one place),
     |      or only add files: coalesce; the version rises, ``state_since`` stays
     v  any other write: snapshot, then a new state

So a client that saves every few seconds makes one revision in 5 minutes. Each state that a reader
got stays in the history, where a merge finds it as its base.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Greatest

from accounts.callers import Caller
from cloudnotes.api.errors import DomainError
from cloudnotes.db.compiled_queries import InstanceQuery, Parameter
from notes.actions import attachment_rows, taggings
from notes.models import Note, Revision, attachments
from notes.models.notes import MAX_CONTENT_BYTES, NoteQuerySet
from notes.models.tags import MAX_TAGS, split

# Writes may coalesce for this long after a state began.
COALESCED_WITHIN = dt.timedelta(minutes=5)
# For how long a reader has to mark a state as seen: longer, as the clocks of two hosts may differ.
SEEN_WITHIN = COALESCED_WITHIN + dt.timedelta(minutes=1)

WRITE_BATCH_SIZE = 1000
# Causes of states that the same writer may still coalesce.
COALESCIBLE_CAUSES = (Note.Cause.CREATE, Note.Cause.EDIT, Note.Cause.FILE)

Expected = Collection[int] | None


class NoteGone(DomainError):
    """The note was deleted or moved to the trash after it was read and before the lock."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


class StaleVersion(DomainError):
    """The note is not in one of the versions that the caller expects.

    The entrance adds the current state of the note ``note_id`` to the problem.
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
    """After the change, the content would be longer than the limit."""

    status = 400
    code = "max_bytes"
    detail = f"The note's content would have more than {MAX_CONTENT_BYTES} bytes in UTF-8."
    field = "content"


class TooManyTags(DomainError):
    """After the change, the note would have more tags than the limit."""

    status = 400
    code = "too_many_tags"
    detail = f"A note would have more than {MAX_TAGS} tags."
    field = "tags"


LOCKED = InstanceQuery(lambda: Note.objects.select_for_update().filter(pk=Parameter("note")))


def lock(note: Note, *, expected: Expected = None, even_trashed: bool = False) -> Note:
    """Lock the note's row until the transaction ends and return the note as it is now.

    ``expected`` are the versions that the caller accepts, None for any version. Raises
    :class:`NoteGone` and :class:`StaleVersion`.
    """
    locked = LOCKED.first(note=note.pk)
    if locked is None or (locked.trashed_at is not None and not even_trashed):
        raise NoteGone
    check(locked, expected)
    return locked


def check(note: Note, expected: Expected) -> None:
    """Raise :class:`StaleVersion` if the note's version is not one of ``expected``."""
    if expected is not None and note.version not in expected:
        raise StaleVersion(note)


def write(
    note: Note, changes: dict[str, Any], *, by: Caller | None, cause: Note.Cause, now: dt.datetime
) -> bool:
    """Write changes to a locked note and return whether any of them differs.

    ``changes`` are of the columns in ``fields.VERSIONED``. Takes a snapshot of the old state,
    unless the write coalesces with it (see :func:`_can_coalesce`). A write that changes nothing
    keeps the version. Raises :class:`ContentTooLong`.
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
    ids: Sequence[int], changes: dict[str, Any], *, by: Caller, cause: Note.Cause, now: dt.datetime
) -> None:
    """Write changes to locked notes, with a snapshot of each; each note must differ from them.

    ``changes`` are values or expressions for the columns in ``fields.VERSIONED``. Needs a few
    statements per 1,000 notes.
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
            state_by=by.user,
            state_cause=cause,
            state_credential=by.credential,
            state_given=False,
        )
        if "tags" in changes:
            taggings.sync_rows(batch)


def plan_write(
    note: Note, changes: dict[str, Any], *, by: Caller | None, cause: Note.Cause, now: dt.datetime
) -> tuple[list[str], bool, dt.datetime]:
    """Return which fields a write changes, whether it takes a snapshot, and its time.

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
    by: Caller | None,
    cause: Note.Cause,
    now: dt.datetime,
) -> None:
    """Set the new state of a note in memory; :func:`bump_version` sets the version after that."""
    for name, value in changes.items():
        setattr(note, name, value)
    if keeps:
        note.state_since = now
    note.state_version = note.version + 1
    note.state_by, note.state_cause = by.user if by else None, cause
    note.state_credential, note.state_given = by.credential if by else "", False


def bump_version(note: Note, *, fields: Sequence[str] = (), now: dt.datetime) -> None:
    """Save ``fields`` of a locked note as its next version."""
    note.version += 1
    note.updated_at = max(now, note.updated_at)
    note.save(update_fields=[*fields, "version", "updated_at"])


def mark_seen(notes: Sequence[Note], *, within: NoteQuerySet, now: dt.datetime) -> list[Note]:
    """Mark the states of notes as seen and return the notes for a reader.

    The reader may use what it gets as the base of a change, so these states have to stay in the
    history. A state that could still coalesce is marked under the note's lock and then read again
    from ``within``. Older states need no query.
    """
    ids = {note.pk for note in notes if is_coalescible(note, now)}
    if not ids:
        return list(notes)
    with transaction.atomic():
        rows = Note.objects.filter(pk__in=ids)
        # In the order of their ids, so that two readers cannot deadlock.
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        rows.update(state_given=True)
        current = {note.pk: note for note in within.filter(pk__in=ids)}
    return [
        current.get(note.pk, note) for note in notes if note.pk not in ids or note.pk in current
    ]


def is_coalescible(note: Note, now: dt.datetime) -> bool:
    """Return whether a note's state has to be marked as seen before a reader gets it."""
    return _may_coalesce(note) and now - note.state_since <= SEEN_WITHIN


def coalescible(since: Any) -> Q:
    """Return :func:`is_coalescible` as a filter; ``since`` is ``now - SEEN_WITHIN``."""
    unseen = Q(state_given=False, state_cause__in=COALESCIBLE_CAUSES, state_since__gte=since)
    return unseen & ~Q(state_credential="")


def _may_coalesce(note: Note) -> bool:
    """Return whether the writer of a state could still coalesce with it, whatever its age."""
    return (
        not note.state_given
        and note.state_credential != ""
        and note.state_cause in COALESCIBLE_CAUSES
    )


def _mark_seen_locked(note: Note, by: Caller | None) -> None:
    """Mark the state as seen if another writer changed nothing: the response contains the state."""
    if _may_coalesce(note) and by and by.credential != note.state_credential:
        note.state_given = True
        note.save(update_fields=["state_given"])


def _can_coalesce(
    note: Note,
    changes: dict[str, Any],
    changed: list[str],
    *,
    by: Caller | None,
    cause: Note.Cause,
    now: dt.datetime,
) -> bool:
    """Return whether a write may overwrite the state without a snapshot.

    All of these hold: the same user writes with the same credential, within 5 minutes after the
    state began; no reader has seen the state; and the write only adds to what the state says.
    """
    return (
        by is not None
        and _may_coalesce(note)
        and (by.pk, by.credential) == (note.state_by_id, note.state_credential)
        and cause in (Note.Cause.EDIT, Note.Cause.FILE)
        # Text and files never coalesce with each other: a client that types may still use the
        # version from before the first file as its base.
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
    """Return whether ``new`` has all files of ``old``, unchanged; both are texts of ``files``."""
    return set(attachments.split(old)) <= set(attachments.split(new))


# By field: whether the new value only adds to the old one.
ADDED_TO = {"title": _only_inserts, "content": _only_inserts, "files": _only_adds}
