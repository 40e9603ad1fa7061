"""Taking over what was written elsewhere."""

import datetime as dt

from django.db import transaction

from accounts.models import User
from notes.actions import notes
from notes.models import ImportedItem, Note


def import_item(
    *, owner: User, source: str, title: str, content: str, created_at: dt.datetime
) -> Note | None:
    """Make and return the note of an item, None if that item was imported before.

    ``source`` names the item among those of its owner, in at most 100 characters: whatever runs in
    parallel, and whatever became of the note since, one source is imported once. Raises
    IntegrityError when the account is gone.
    """
    with transaction.atomic():
        imported, is_new = ImportedItem.objects.get_or_create(owner=owner, source=source)
        if not is_new:
            return None
        note = notes.create_note(title=title, content=content, by=owner, now=created_at)
        imported.note = note
        imported.save(update_fields=["note"])
    return note
