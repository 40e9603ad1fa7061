"""Apply a batch of changes that one client sends; each change has its own outcome."""

import contextlib
import datetime as dt
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts.callers import Caller
from cloudnotes.api import key_derivation
from cloudnotes.api.errors import DomainError
from notes import access, history
from notes.actions import notes as note_actions
from notes.actions.versions import StaleVersion
from notes.models import Change, Feed, Generation, Note, Revision, tags
from notes.models.changes import new_generation

MAX_OPERATIONS = 500
MERGING_SECONDS = 1.0


class NotThere(DomainError):
    """There is no such note, or none that the user may see."""

    status = 404
    code = "not_found"
    detail = "There is no note of this id that you may see."


class Deleted(DomainError):
    """The note was deleted or moved to the trash meanwhile."""

    status = 409
    code = "deleted"
    detail = "The note was deleted meanwhile. To keep your change, restore it or create a new one."


class Conflict(DomainError):
    """The note is not in the version that the change was made to.

    ``code`` is the one that a single write has: ``stale_version`` or ``merge_conflict``.
    """

    status = 409
    detail = (
        "The note has changed since `base_version`. Bring your change into what it says now, which "
        "is in `note` or at the note's address, and send that with its version."
    )

    def __init__(self, reason: DomainError) -> None:
        super().__init__()
        self.code = reason.code


class ClientIdUsed(DomainError):
    """Another note was created with this client id."""

    status = 409
    code = "client_id_used"
    detail = "Another note was created with this client_id. Send it with a new one, such as a UUID."
    field = "client_id"


class OutsideOfCategory(DomainError):
    """The access token may not put a note there."""

    status = 403
    code = "forbidden"
    detail = "The access token may not put a note into this category."


class Forbidden(DomainError):
    """The user may see the note but may not make this change."""

    status = 403
    code = "forbidden"
    detail = "You may not make this change to the note."


@dataclass(frozen=True)
class Operation:
    """One change that a client has made.

    ``note_id`` names the note. If the client does not know it yet, ``client_id`` does: the name
    under which the client created the note, or creates it now. ``fields`` are of
    ``fields.EDITABLE``. The fields of ``flag`` are of ``fields.FLAGS``; it applies to any version.
    """

    kind: Literal["create", "update", "flag", "delete"]
    note_id: int | None
    client_id: str | None
    base_version: int
    fields: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome of an operation.

    ``version`` is the note's version, None if the note is deleted or never existed. ``differs`` is
    true if the note is not what the client has, because somebody else wrote it too. ``error`` says
    why an operation was refused or conflicts.
    """

    status: Literal["applied", "conflict", "refused"]
    note_id: int | None
    version: int | None = None
    differs: bool = False
    is_merged: bool = False
    error: DomainError | None = None


class LockedTooLate(Exception):
    """A note appeared that must be locked before the feed, and the feed is locked already."""


class MergeBudget:
    """The time in seconds that a batch may still spend on merging, because others wait for it."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextlib.contextmanager
    def spent(self) -> Iterator[None]:
        """Subtract the time that the block takes from the budget."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.left -= time.monotonic() - began


def apply(
    *, operations: Sequence[Operation], merge: bool, by: Caller, now: dt.datetime
) -> list[Outcome]:
    """Apply at most 500 operations in their order and return the outcome of each.

    One transaction for all that can be applied. Safe to send twice: an operation that was applied
    before is recognized by its ``client_id`` or its result. With ``merge``, a change of an earlier
    version is merged if both sides changed different lines. After one second of merging, the
    remaining ones are conflicts.
    """
    while True:
        with contextlib.suppress(LockedTooLate), transaction.atomic():
            ids_by_client_id = _lock(operations, by)
            budget = MergeBudget(MERGING_SECONDS if merge else 0)
            return [
                _apply(operation, ids_by_client_id=ids_by_client_id, budget=budget, by=by, now=now)
                for operation in operations
            ]


def _lock(operations: Sequence[Operation], caller: Caller) -> dict[str, int]:
    """Take all locks in the order of all writers: notes by their ids, then the feeds.

    Returns the ids of the notes that were created under these client ids, by client id. Raises
    :class:`LockedTooLate` if one of them was created while this waited for the feed: the caller
    then releases all locks and starts again.
    """
    ids_by_client_id = _get_ids_by_client_id(operations, caller)
    ids = {operation.note_id for operation in operations if operation.note_id}
    ids |= set(ids_by_client_id.values())
    rows = Note.objects.editable_by(caller).filter(pk__in=ids).select_for_update()
    notes = list(rows.order_by("pk").only("pk", "owner"))
    Feed.objects.lock(caller.pk, *access.audiences(notes))
    if _get_ids_by_client_id(operations, caller) != ids_by_client_id:
        raise LockedTooLate
    return ids_by_client_id


def start_generation(*, instead_of: str) -> None:
    """Make every client start again: begin a new generation, once after ``instead_of``."""
    if not instead_of:
        Generation.objects.get_or_create(pk=1)
    else:
        Generation.objects.filter(name=instead_of).update(name=new_generation())


def _get_ids_by_client_id(operations: Sequence[Operation], caller: Caller) -> dict[str, int]:
    """Return the ids of the notes that were created under these client ids, by client id."""
    used = [operation.client_id for operation in operations if operation.client_id]
    changes = Change.objects.filter(user_id=caller.pk, client_id__in=used)
    return {str(client_id): pk for client_id, pk in changes.values_list("client_id", "note_id")}


def _apply(
    operation: Operation,
    *,
    ids_by_client_id: dict[str, int],
    budget: MergeBudget,
    by: Caller,
    now: dt.datetime,
) -> Outcome:
    note_id = operation.note_id or ids_by_client_id.get(operation.client_id or "")
    note = None
    if note_id is not None:
        note = Note.objects.visible_to(by).filter(pk=note_id).first()
    is_hidden = note is None and note_id is not None and not _was_deleted(note_id, by)
    try:
        if operation.kind == "create":
            if is_hidden:
                raise ClientIdUsed
            return _create(
                operation, note_id, note, ids_by_client_id=ids_by_client_id, by=by, now=now
            )
        if note_id is None or is_hidden:
            raise NotThere
        if note is not None and not _may(operation, note, by):
            raise Forbidden
        if operation.kind == "delete":
            return _delete(operation, note_id, note, by=by, now=now)
        if note is None or note.trashed_at is not None:
            return Outcome("conflict", note_id, error=Deleted())
        if operation.kind == "flag":
            flags = operation.fields
            note = note_actions.update_note(note=note, changes={}, flags=flags, by=by, now=now)
            return Outcome("applied", note.pk, note.version, differs=True)
        return _update(operation, note, budget=budget, by=by, now=now)
    except DomainError as error:
        return Outcome("refused", None, error=error)


def _create(
    operation: Operation,
    note_id: int | None,
    note: Note | None,
    *,
    ids_by_client_id: dict[str, int],
    by: Caller,
    now: dt.datetime,
) -> Outcome:
    # Keyed hashes: with plain ones, a dump of the database would allow guesses at deleted notes.
    digests = [
        key.hex() for key in key_derivation.derive_all("client_id", *operation.fields.values())
    ]
    if note_id is not None:
        used = Change.objects.filter(user_id=by.pk, note=note_id)
        if not used.filter(client_digest__in=digests).exists():
            raise ClientIdUsed
        if note is None or note.trashed_at is not None:
            return Outcome("applied", note_id)
        return Outcome("applied", note_id, note.version, differs=note.version > 1)
    _check_category(operation, by)
    note = note_actions.create_note(**operation.fields, by=by, now=now, cause=Note.Cause.SYNC)
    if operation.client_id:
        Change.objects.filter(user_id=by.pk, note=note).update(
            client_id=operation.client_id, client_digest=digests[0]
        )
        ids_by_client_id[operation.client_id] = note.pk
    return Outcome("applied", note.pk, note.version)


def _update(
    operation: Operation, note: Note, *, budget: MergeBudget, by: Caller, now: dt.datetime
) -> Outcome:
    _check_category(operation, by)
    base, changes, is_merged = operation.base_version, operation.fields, False
    arguments: Any = {"changes": changes, "by": by, "now": now, "cause": Note.Cause.SYNC}
    try:
        if base != note.version and budget.left > 0:
            with budget.spent():
                note, is_merged = note_actions.merge_note(note=note, base_version=base, **arguments)
        else:
            note = note_actions.update_note(note=note, expected={base}, **arguments)
    except (StaleVersion, note_actions.Overlap) as reason:
        state = history.get_state(note, base + 1, caller=by)
        if _has_values(note, changes) or _has_values(state, changes):
            return Outcome("applied", note.pk, note.version, differs=True)  # sent before
        return Outcome("conflict", note.pk, note.version, differs=True, error=Conflict(reason))
    return Outcome("applied", note.pk, note.version, differs=is_merged, is_merged=is_merged)


def _delete(
    operation: Operation, note_id: int, note: Note | None, *, by: Caller, now: dt.datetime
) -> Outcome:
    if note is None or note.trashed_at is not None:
        return Outcome("applied", note_id)
    try:
        note_actions.trash_note(note=note, by=by, now=now, expected={operation.base_version})
    except StaleVersion as reason:
        error = Conflict(reason)
        return Outcome("conflict", note_id, note.version, differs=True, error=error)
    return Outcome("applied", note_id)


def _may(operation: Operation, note: Note, caller: Caller) -> bool:
    if operation.kind == "delete":
        return access.can(caller, "delete", note)
    return access.may_write(caller, note, operation.fields)


def _was_deleted(note_id: int, caller: Caller) -> bool:
    """Return whether a user had this note and it was deleted for good."""
    had = Change.objects.filter(user_id=caller.pk, note=note_id).exists()
    return had and not Note.objects.filter(pk=note_id).exists()


def _has_values(state: Note | Revision | None, changes: dict[str, Any]) -> bool:
    return state is not None and all(
        tags.are_same(state.tags, value) if name == "tags" else getattr(state, name) == value
        for name, value in changes.items()
    )


def _check_category(operation: Operation, caller: Caller) -> None:
    category = operation.fields.get("category")
    if category is not None and not access.may_file_under(caller, category):
        raise OutsideOfCategory
