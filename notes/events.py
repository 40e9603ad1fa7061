"""What happened to a note: written down in the writing transaction, told after its commit."""

import logging
from typing import Literal

from django.db import transaction

from accounts.models import User
from notes.models import Note

Kind = Literal["note_created", "note_updated", "note_deleted", "file_stored", "file_removed"]

logger = logging.getLogger("cloudnotes.events")


def record(kind: Kind, *, note: Note, by: User) -> None:
    """Record one event of one action; must be called inside the action's transaction.

    Once the transaction is committed, and only then, the event is a log line with the ids of the
    note, its owner and the actor: never a word of the text. Raises RuntimeError outside a
    transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An event belongs into the transaction of the change it records.")
    about = {
        "event": kind,
        "note": note.pk,
        "owner": note.owner_id,
        "version": note.version,
        "by": by.pk,
    }
    transaction.on_commit(lambda: logger.info(kind, extra=about))
