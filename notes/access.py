"""Who may do what to a note. Read-only questions, answered in one place.

``Note.objects.visible_to(user)`` is the same answer for reading as a filter; a test holds the two
together.
"""

from typing import Literal

from accounts.models import User
from notes.models import Note

Verb = Literal["read", "edit", "delete"]


def can(user: User, verb: Verb, note: Note) -> bool:
    """Return whether a user may do this to a note: owners may do everything, others nothing."""
    return note.owner_id == user.pk
