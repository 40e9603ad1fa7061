"""Import notes that were written in another service."""

import datetime as dt

from django.db import transaction

from accounts.callers import Caller
from accounts.models import User
from notes.actions import notes
from notes.models import ImportedItem, Note


def import_item(
    *, owner: User, source: str, title: str, content: str, created_at: dt.datetime
) -> Note | None:
    """Create the note of an item and return it; return None if the item was imported before.

    ``source`` identifies the item among those of its owner, in at most 100 characters. Each source
    is imported once, also by imports that run in parallel, and also if its note was deleted since.
    Raises IntegrityError if the account no longer exists.
    """
    with transaction.atomic():
        imported, is_new = ImportedItem.objects.get_or_create(owner=owner, source=source)
        if not is_new:
            return None
        note = notes.create_note(title=title, content=content, by=Caller(owner), now=created_at)
        imported.note = note
        imported.save(update_fields=["note"])
    return note
