"""Who may do what to a note. Read-only questions, answered in one place.

``Note.objects.visible_to(user)`` is the same answer for reading as a filter; a test holds the two
together.
"""

from typing import Literal

from accounts import categories
from accounts.models import User
from notes.models import Note

Verb = Literal["read", "edit", "delete"]


def can(user: User, verb: Verb, note: Note) -> bool:
    """Return whether a user may do this to a note: owners may do everything, others nothing.

    Through a token that is limited to a category, owners too have the notes within it alone.
    """
    return note.owner_id == user.pk and may_file_under(user, note.category)


def audience(note: Note) -> list[int]:
    """Return the ids of the users who may know of a note, ascending: its owner."""
    return [note.owner_id]


def may_file_under(user: User, category: str) -> bool:
    """Return whether a user may put a note into a category, or find one there."""
    return categories.is_within(category, user.limited_to_category)
