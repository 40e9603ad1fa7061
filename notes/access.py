"""Who may do what to a note. Read-only questions, answered in one place.

The querysets of ``Note.objects`` give the same answers as filters: ``visible_to(user)`` to read,
``editable_by(user)`` to edit, ``owned_by(user)`` for what only the owner may do. A test holds them
together.
"""

from collections.abc import Collection, Iterable
from typing import Literal, Protocol

from accounts import categories
from accounts.models import User
from notes.models import Note, Revision
from notes.models.fields import FLAGS

# To organize is to say where a note lies and how it is flagged, which only its owner does.
Verb = Literal["read", "edit", "organize", "delete"]
ORGANIZED = frozenset({"category", *FLAGS})


class Owned(Protocol):
    """A note, or a row that has these two columns of it."""

    @property
    def pk(self) -> int: ...
    @property
    def owner_id(self) -> int: ...


def can(user: User, verb: Verb, note: Note) -> bool:
    """Return whether a user may do this to a note: owners may do everything, others nothing.

    Through a token that is limited to a category, owners too have the notes within it alone.
    """
    return note.owner_id == user.pk and may_file_under(user, note.category)


def may_write(user: User, note: Note, names: Collection[str]) -> bool:
    """Return whether a user may write these members of a note."""
    return can(user, "edit", note) and (ORGANIZED.isdisjoint(names) or can(user, "organize", note))


def audience(note: Owned) -> list[int]:
    """Return the ids of the users who may know of a note, ascending: its owner."""
    return [note.owner_id]


def audiences(notes: Iterable[Owned]) -> dict[int, list[int]]:
    """Return by user, ascending, the notes that they may know of, in the order of ``notes``."""
    ids: dict[int, list[int]] = {}
    for note in notes:
        for user_id in audience(note):
            ids.setdefault(user_id, []).append(note.pk)
    return dict(sorted(ids.items()))


def may_file_under(user: User, category: str) -> bool:
    """Return whether a user may put a note of theirs into a category, or find one there."""
    return categories.is_within(category, user.limited_to_category)


def may_see_state(user: User, note: Note, state: Revision) -> bool:
    """Return whether a user who may see a note may see what it said then too.

    A note that lies in a token's category now may have lain elsewhere before.
    """
    return note.owner_id != user.pk or may_file_under(user, state.category)
