"""Change many notes in one call: all with a tag, all in a category, or a list of ids.

Each operation locks the notes in the order of their ids, writes all changed notes in a few
statements and records a change of the feed for each of them.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, Value, When
from django.db.models.functions import Concat, Substr

from accounts import categories
from accounts.callers import Caller
from accounts.identifiers import fold
from cloudnotes.api.errors import DomainError
from notes import events
from notes.actions.notes import purge_all
from notes.actions.versions import WRITE_BATCH_SIZE, TooManyTags, write_all
from notes.models import Note, Tagging, tags
from notes.models.notes import NoteQuerySet, filed_within

MAX_NOTES = 500


class NothingThere(DomainError):
    """No note that the user may see has the tag or is in the category."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


class CategoryTooLong(DomainError):
    """After the move, a category below it would be longer than the limit."""

    status = 400
    code = "max_length"
    detail = f"A category would have more than {categories.MAX_LENGTH} characters."
    field = "category"


class Row(NamedTuple):
    """A note without its text, because there may be very many."""

    pk: int
    owner_id: int
    category: str
    tags: str
    trashed_at: dt.datetime | None
    is_favorite: bool
    is_archived: bool


@dataclass(frozen=True)
class BulkResult:
    """The result for one note; ``version`` is its current version, None if it does not exist.

    A note that was deleted for good is changed and has no version.
    """

    note_id: int
    is_changed: bool
    version: int | None


def rename_tag(*, name: str, to: str, by: Caller, now: dt.datetime) -> tuple[str, int]:
    """Rename a tag on all notes of ``by``; return the new name and the number of notes.

    If a tag of that name exists, the two become one. Raises :class:`NothingThere`.
    """
    canonical_name = Tagging.objects.canonical_names(to, by=by) if fold(to) != fold(name) else to

    def renamed(names: list[str]) -> list[str]:
        return [canonical_name if fold(each) == fold(name) else each for each in names]

    return canonical_name, _retag_all(name, renamed, by=by, now=now)


def delete_tag(*, name: str, by: Caller, now: dt.datetime) -> int:
    """Remove a tag from all notes of ``by`` and return the number of notes.

    Raises :class:`NothingThere`.
    """

    def without(names: list[str]) -> list[str]:
        return [each for each in names if fold(each) != fold(name)]

    return _retag_all(name, without, by=by, now=now)


def _retag_all(
    name: str, change: Callable[[list[str]], list[str]], *, by: Caller, now: dt.datetime
) -> int:
    with transaction.atomic():
        notes = _lock_rows(Note.objects.owned_by(by).tagged([name], every=True))
        if not notes:
            raise NothingThere
        _retag(notes, change, by=by, now=now)
    return len(notes)


def _retag(
    notes: Iterable[Row], change: Callable[[list[str]], list[str]], *, by: Caller, now: dt.datetime
) -> set[int]:
    """Change the tags of locked notes and return the ids of the changed notes.

    Raises :class:`notes.actions.versions.TooManyTags`, with nothing changed.
    """
    targets = {old: tags.join(change(tags.split(old))) for old in {note.tags for note in notes}}
    changed = [note for note in notes if targets[note.tags] != note.tags]
    if any(len(tags.split(targets[note.tags])) > tags.MAX_TAGS for note in changed):
        raise TooManyTags
    for start in range(0, len(changed), WRITE_BATCH_SIZE):
        batch = changed[start : start + WRITE_BATCH_SIZE]
        cases = [When(tags=old, then=Value(targets[old])) for old in {n.tags for n in batch}]
        changes = {"tags": Case(*cases)}
        write_all([note.pk for note in batch], changes, by=by, cause=Note.Cause.EDIT, now=now)
    events.record_all("note_updated", notes=changed, by=by)
    return {note.pk for note in changed}


def move_category(*, category: str, to: str, by: Caller, now: dt.datetime) -> int:
    """Move a category and all categories below it to ``to``; return the number of moved notes.

    Notes that are in ``to`` already stay there. Notes in the trash are moved too. Raises
    :class:`NothingThere` and :class:`CategoryTooLong`.
    """
    with transaction.atomic():
        rows = _lock_rows(Note.objects.owned_by(by).filter(filed_within(category)))
        if not rows:
            raise NothingThere
        longest = max(len(note.category) for note in rows)
        if longest - len(category) + len(to) > categories.MAX_LENGTH:
            raise CategoryTooLong
        if to == category:
            return 0
        # Moved from `Work` to the top level, `Work/Plans` becomes `Plans`: the prefix goes.
        rest = Substr("category", len(category) + (1 if to else 2))
        changes = {"category": Concat(Value(to), rest)}
        _write(rows, changes, by=by, cause=Note.Cause.EDIT, kind="note_updated", now=now)
    return len(rows)


def trash_category(*, category: str, by: Caller, now: dt.datetime) -> int:
    """Move the notes of a category and of all categories below it to the trash; return how many.

    Raises :class:`NothingThere`.
    """
    with transaction.atomic():
        rows = _lock_rows(Note.objects.owned_by(by).filter(filed_within(category)))
        if not rows:
            raise NothingThere
        return len(_trash(rows, by=by, now=now))


def apply_bulk(
    *, operation: str, ids: Iterable[int], value: str = "", by: Caller, now: dt.datetime
) -> list[BulkResult]:
    """Apply one operation to at most 500 notes, named by ids, and return the result for each.

    ``value`` is the category for ``move``, or the tags for ``tag`` and ``untag``, one per line.
    """
    note_ids = list(dict.fromkeys(ids))
    with transaction.atomic():
        is_edit = operation in EDITS
        allowed = Note.objects.editable_by(by) if is_edit else Note.objects.owned_by(by)
        candidates = allowed.trashed() if operation in IN_TRASH else allowed.live()
        rows = _lock_rows(candidates.filter(pk__in=note_ids))
        changed = OPERATIONS[operation](rows, value, by=by, now=now)
        current = Note.objects.filter(pk__in=[note.pk for note in rows])
        versions = dict(current.values_list("pk", "version"))
    return [BulkResult(pk, pk in changed, versions.get(pk)) for pk in note_ids]


def _lock_rows(notes: NoteQuerySet) -> list[Row]:
    """Lock notes in the order of their ids, as all writers do, and return their rows."""
    rows = notes.select_for_update().order_by("pk")
    return [Row(*row) for row in rows.values_list(*Row._fields)]


def _tag(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
    names = tags.split(Tagging.objects.canonical_names(value, by=by))
    return _retag(notes, lambda old: [*old, *names], by=by, now=now)


def _untag(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
    folded = {fold(name) for name in tags.split(value)}
    return _retag(notes, lambda old: [n for n in old if fold(n) not in folded], by=by, now=now)


def _move(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
    changed = [note for note in notes if note.category != value]
    fields = {"category": value}
    return _write(changed, fields, by=by, cause=Note.Cause.EDIT, kind="note_updated", now=now)


def _trash(notes: list[Row], value: str = "", *, by: Caller, now: dt.datetime) -> set[int]:
    changed = [note for note in notes if note.trashed_at is None]
    fields = {"trashed_at": now}
    return _write(changed, fields, by=by, cause=Note.Cause.TRASH, kind="note_trashed", now=now)


def _restore(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
    fields = {"trashed_at": None}
    return _write(notes, fields, by=by, cause=Note.Cause.UNTRASH, kind="note_restored", now=now)


def _write(
    notes: list[Row],
    changes: dict[str, Any],
    *,
    by: Caller,
    cause: Note.Cause,
    kind: events.Kind,
    now: dt.datetime,
) -> set[int]:
    """Write changes that differ for each of these locked notes, and record the events."""
    ids = [note.pk for note in notes]
    write_all(ids, changes, by=by, cause=cause, now=now)
    events.record_all(kind, notes=notes, by=by)
    return set(ids)


def _flag(name: str, *, to: bool) -> Callable[..., set[int]]:
    def change(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
        changed = [note for note in notes if getattr(note, name) != to]
        ids = [note.pk for note in changed]
        Note.objects.filter(pk__in=ids).update(**{name: to})
        events.record_all("note_flagged", notes=changed, by=by)
        return set(ids)

    return change


def _purge(notes: list[Row], value: str, *, by: Caller, now: dt.datetime) -> set[int]:
    purge_all(notes, by=by)
    return {note.pk for note in notes}


# Operations on notes in the trash; the others are on those that are not.
IN_TRASH = {"restore", "purge"}
# Operations for everybody who may edit a note; the others are for its owner only.
EDITS = {"tag", "untag"}
OPERATIONS: dict[str, Callable[..., set[int]]] = {
    "tag": _tag,
    "untag": _untag,
    "move": _move,
    "archive": _flag("is_archived", to=True),
    "unarchive": _flag("is_archived", to=False),
    "favorite": _flag("is_favorite", to=True),
    "unfavorite": _flag("is_favorite", to=False),
    "trash": _trash,
    "restore": _restore,
    "purge": _purge,
}
