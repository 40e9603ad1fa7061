"""Events of notes: recorded in the feed in the writing transaction, logged after its commit."""

import logging
from collections.abc import Sequence
from typing import Literal

from django.db import transaction

from accounts.callers import Caller
from notes import access
from notes.models import Change, Note

Kind = Literal[
    "note_created",
    "note_updated",
    "note_flagged",
    "note_trashed",
    "note_restored",
    "note_deleted",
    "file_stored",
    "file_renamed",
    "file_removed",
]

logger = logging.getLogger("cloudnotes.events")


def record(kind: Kind, *, note: Note, by: Caller | None) -> None:
    """Record one event of one action; must be called inside the action's transaction.

    Moves the note to the end of the feed of everybody in its audience. An action calls this last,
    just before its commit, because from here on other writers of these feeds wait. Feeds are locked
    in the order of their users' ids, so that two writers cannot deadlock.

    After the commit, and only then, the event is logged with the ids of the note, its owner and the
    actor (None for the service itself). The log never contains text of the note. Raises
    RuntimeError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An event belongs into the transaction of the change it records.")
    Change.objects.append(note.pk, audience=access.audience(note))
    about = _describe(kind, note, by)
    transaction.on_commit(lambda: logger.info(kind, extra=about))


def record_all(kind: Kind, *, notes: Sequence[access.Owned], by: Caller) -> None:
    """Record the same event of many notes; as :func:`record`, with one log line."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An event belongs into the transaction of the change it records.")
    if not notes:
        return
    for user_id, note_ids in access.audiences(notes).items():
        Change.objects.append_all(note_ids, user_id=user_id)
    owners = sorted({note.owner_id for note in notes})
    about = {"event": kind, "notes": len(notes), "owners": owners, "by": by.pk}
    transaction.on_commit(lambda: logger.info(kind, extra=about))


def tell(kind: Kind, *, note: Note, by: Caller) -> None:
    """Log an event that a statement of ``single_statement`` has recorded and committed."""
    logger.info(kind, extra=_describe(kind, note, by))


def _describe(kind: Kind, note: Note, by: Caller | None) -> dict[str, object]:
    return {
        "event": kind,
        "note": note.pk,
        "owner": note.owner_id,
        "version": note.version,
        "by": by.pk if by else None,
    }
