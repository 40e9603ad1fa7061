"""Write single notes: create, update, merge, trash, restore, purge.

``notes.actions.single_statement`` does a part of this in one statement of PostgreSQL, by the same
:func:`notes.actions.versions.plan_write`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.callers import Caller
from accounts.identifiers import fold
from cloudnotes.api.errors import DomainError
from notes import access, events, history, merging
from notes.actions import taggings
from notes.actions.versions import Expected, StaleVersion, lock, write
from notes.files import objects
from notes.models import Attachment, KeptFile, Note, Revision, Tagging, Upload
from notes.models import tags as tag_names
from notes.models.fields import EDITABLE, state_json

KEPT_IN_TRASH = dt.timedelta(days=30)
PURGE_BATCH_SIZE = 100
NO_FLAGS: Mapping[str, bool] = MappingProxyType({})


class Overlap(DomainError):
    """Both sides changed the same lines, or both the title, or both the category.

    Or nobody can know, because the history does not have ``base`` any more. The entrance adds the
    current state of the note ``note_id`` to the problem.
    """

    status = 409
    code = "merge_conflict"
    detail = (
        "Your change and one that was made meanwhile touch the same lines. Bring `yours` and "
        "`current` together and send the result with the current version."
    )
    without_base = (
        "The history does not have the version that your change was made to. Bring `yours` and "
        "`current` together and send the result with the current version."
    )

    def __init__(self, note: Note, *, base: Revision | None, yours: dict[str, Any]) -> None:
        super().__init__(None if base else self.without_base)
        self.note_id = note.pk
        state = base and state_json({name: getattr(base, name) for name in EDITABLE})
        self.members = {"base": state, "yours": state_json(yours)}


def create_note(
    *,
    title: str,
    by: Caller,
    now: dt.datetime,
    tags: str = "",
    flags: Mapping[str, bool] = NO_FLAGS,
    cause: Note.Cause = Note.Cause.CREATE,
    **fields: str,
) -> Note:
    """Create a note that belongs to ``by`` and return it.

    ``tags`` are names, one per line; ``fields`` are other fields of ``fields.EDITABLE``. Raises
    TypeError for a field that a note does not have.
    """
    with transaction.atomic():
        note = Note.objects.create(
            owner=by.user,
            title=title,
            tags=Tagging.objects.canonical_names(tags, by=by) if tags else "",
            **fields,
            **flags,
            created_at=now,
            updated_at=now,
            state_since=now,
            state_by=by.user,
            state_cause=cause,
            state_credential=by.credential,
        )
        if tags:
            taggings.sync_rows([note.pk])
        events.record("note_created", note=note, by=by)
    return note


def update_note(
    *,
    note: Note,
    changes: dict[str, Any],
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
    flags: Mapping[str, bool] = NO_FLAGS,
    cause: Note.Cause = Note.Cause.EDIT,
) -> Note:
    """Set the fields of ``changes`` and return the note.

    They are of ``fields.EDITABLE``, with tags as names, one per line. Only fields that differ are
    written. A write that changes nothing, or only ``flags`` (of ``fields.FLAGS``), keeps the
    version. Raises :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        _finish(note, changes, flags, by=by, cause=cause, now=now)
    return note


def merge_note(
    *,
    note: Note,
    changes: dict[str, Any],
    base_version: int,
    by: Caller,
    now: dt.datetime,
    flags: Mapping[str, bool] = NO_FLAGS,
    cause: Note.Cause = Note.Cause.EDIT,
) -> tuple[Note, bool]:
    """Merge ``changes`` of an earlier version into the note; return it and whether it was merged.

    A three-way merge: a value that neither side changed stays, a value that one side changed is
    taken, and the content is merged by lines. The base comes from the history. ``cause`` is used if
    no merge is needed. Raises :class:`Overlap`, also if the history does not have the base, or not
    for this user; :class:`notes.actions.versions.StaleVersion` if there was no such version yet;
    :class:`notes.actions.versions.NoteGone` and :class:`notes.actions.versions.ContentTooLong`.
    """
    with transaction.atomic():
        note = lock(note)
        base = history.get_state(note, base_version, caller=by)
        if base is None and base_version > note.version:
            raise StaleVersion(note)
        is_stale = base is None or base.version != note.version
        if is_stale:
            changes = _merged(note, base, changes)
        why = Note.Cause.MERGE if is_stale else cause
        _finish(note, changes, flags, by=by, cause=why, now=now)
    return note, is_stale


def _finish(
    note: Note,
    changes: dict[str, Any],
    flags: Mapping[str, bool],
    *,
    by: Caller,
    cause: Note.Cause,
    now: dt.datetime,
) -> None:
    """Write the fields and flags of a locked note that differ, and record the event."""
    if changes.get("tags"):
        changes = {**changes, "tags": Tagging.objects.canonical_names(changes["tags"], by=by)}
    is_written = write(note, changes, by=by, cause=cause, now=now)
    differing = [name for name, value in flags.items() if getattr(note, name) != value]
    for name in differing:
        setattr(note, name, flags[name])
    if differing:
        note.save(update_fields=differing)
    if is_written:
        events.record("note_updated", note=note, by=by)
    elif differing:
        events.record("note_flagged", note=note, by=by)


def _merged(note: Note, base: Revision | None, yours: dict[str, Any]) -> dict[str, Any]:
    if base is None:
        if any(getattr(note, name) != value for name, value in yours.items()):
            raise Overlap(note, base=None, yours=yours)
        return {}
    merged = {}
    for name, value in yours.items():
        before, current = getattr(base, name), getattr(note, name)
        if name == "tags":
            sides = {"base": before, "yours": value, "current": current}
            names = {side: tag_names.split(names_text) for side, names_text in sides.items()}
            merged[name] = tag_names.join(merging.merge_names(**names, key=fold))
            continue
        merge = merging.merge if name == "content" else merging.merge_value
        try:
            merged[name] = merge(base=before, yours=value, current=current)
        except merging.Overlap:
            raise Overlap(note, base=base, yours=yours) from None
    return merged


def trash_note(*, note: Note, by: Caller, now: dt.datetime, expected: Expected = None) -> Note:
    """Move a note to the trash, where it stays with its files and history for 30 days.

    Raises :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        write(note, {"trashed_at": now}, by=by, cause=Note.Cause.TRASH, now=now)
        events.record("note_trashed", note=note, by=by)
    return note


def restore_note(*, note: Note, by: Caller, now: dt.datetime, expected: Expected = None) -> Note:
    """Take a note out of the trash and return it; a note that is not in the trash is unchanged.

    Raises :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected, even_trashed=True)
        if write(note, {"trashed_at": None}, by=by, cause=Note.Cause.UNTRASH, now=now):
            events.record("note_restored", note=note, by=by)
    return note


def purge_note(*, note: Note, by: Caller | None, expected: Expected = None) -> None:
    """Delete a note for good, with its history and files; objects are deleted after the commit.

    Raises :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        _purge(lock(note, expected=expected, even_trashed=True), by=by)


def purge_due() -> bool:
    """Delete some of the notes that have been in the trash for 30 days; a worker's job.

    Returns whether there may be more.
    """
    due = Note.objects.filter(trashed_at__lte=timezone.now() - KEPT_IN_TRASH)
    ids = list(due.order_by("trashed_at", "pk").values_list("pk", flat=True)[:PURGE_BATCH_SIZE])
    for pk in ids:
        with transaction.atomic():
            # It may just have been restored, or another worker may be deleting it.
            note = due.select_for_update(skip_locked=True).filter(pk=pk).first()
            if note is not None:
                _purge(note, by=None)
    return len(ids) == PURGE_BATCH_SIZE


def _purge(note: Note, *, by: Caller | None) -> None:
    _delete_rows([note.pk])
    events.record("note_deleted", note=note, by=by)


def purge_all(notes: Sequence[access.Owned], *, by: Caller) -> None:
    """Delete locked notes for good, as :func:`purge_note`."""
    _delete_rows([note.pk for note in notes])
    events.record_all("note_deleted", notes=notes, by=by)


def _delete_rows(note_ids: Sequence[int]) -> None:
    objects.delete_after_commit(_objects_of(note_ids))
    Note.objects.filter(pk__in=note_ids).delete()


def _objects_of(note_ids: Sequence[int]) -> Q:
    """Return the filter of the objects of notes: attached, in their history, or uploading."""
    uploads = Upload.objects.filter(note__in=note_ids, object__isnull=False)
    return (
        Q(pk__in=Attachment.objects.filter(note__in=note_ids).values("object"))
        | Q(pk__in=KeptFile.objects.filter(revision__note__in=note_ids).values("object"))
        | Q(pk__in=uploads.values("object"))
    )
