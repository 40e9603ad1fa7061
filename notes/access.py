"""Who may do what to a note. All permission checks are here; nothing is written.

The querysets of ``Note.objects`` are the same rules as filters: ``visible_to(user)`` to read,
``editable_by(user)`` to edit, ``owned_by(user)`` for what only the owner may do. A test checks that
both agree.
"""

from collections.abc import Collection, Iterable
from typing import Literal, Protocol

from accounts import categories
from accounts.callers import Caller
from notes.models import Note, Revision
from notes.models.fields import FLAGS

# To organize is to set the category and the flags of a note; only the owner may.
Verb = Literal["read", "edit", "organize", "delete"]
ORGANIZED = frozenset({"category", *FLAGS})


class Owned(Protocol):
    """A note, or a row that has these two columns of a note."""

    @property
    def pk(self) -> int: ...
    @property
    def owner_id(self) -> int: ...


def can(caller: Caller, verb: Verb, note: Note) -> bool:
    """Return whether a user may do this to a note: owners may do everything, others nothing.

    With a token that is limited to a category, owners may use only the notes within it.
    """
    return note.owner_id == caller.pk and may_file_under(caller, note.category)


def may_write(caller: Caller, note: Note, names: Collection[str]) -> bool:
    """Return whether a caller may write the members ``names`` of a note."""
    may_organize = ORGANIZED.isdisjoint(names) or can(caller, "organize", note)
    return may_organize and can(caller, "edit", note)


def audience(note: Owned) -> list[int]:
    """Return the ids of the users who may know of a note, ascending: its owner."""
    return [note.owner_id]


def audiences(notes: Iterable[Owned]) -> dict[int, list[int]]:
    """Return the ids of the notes by user, for each user of an audience.

    Users are ascending; the ids of each are in the order of ``notes``.
    """
    ids: dict[int, list[int]] = {}
    for note in notes:
        for user_id in audience(note):
            ids.setdefault(user_id, []).append(note.pk)
    return dict(sorted(ids.items()))


def may_file_under(caller: Caller, category: str) -> bool:
    """Return whether a user may put a note of theirs into a category, or find one there."""
    return categories.is_within(category, caller.category)


def may_see_state(caller: Caller, note: Note, state: Revision) -> bool:
    """Return whether a user who may see a note may also see this earlier state of it.

    A note that is in a token's category now may have been in another one before.
    """
    return note.owner_id != caller.pk or may_file_under(caller, state.category)
