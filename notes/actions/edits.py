"""Small edits of a note's content that need neither the whole content nor a precondition."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from django.db import transaction

from accounts.callers import Caller
from cloudnotes.api.errors import DomainError
from notes import events
from notes.actions.versions import Expected, lock, write
from notes.markdown import edits, tasks
from notes.models import Note

Kind = Literal["append", "prepend", "replace", "toggle_task"]


class NotExactlyOnce(DomainError):
    """The text to replace does not occur exactly once; the problem has the ``count``."""

    status = 409
    code = "not_exactly_once"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"The text to replace occurs {count} times. Send more of what stands around it, so "
            "that it occurs exactly once."
            if count
            else "The text to replace does not occur. Read the note and send what it says."
        )
        self.members = {"count": count}


class NoSuchTask(DomainError):
    """The note has fewer checkboxes; the problem has the ``count``."""

    status = 409
    code = "no_such_task"

    def __init__(self, count: int) -> None:
        super().__init__(f"The note has {count} checkboxes. Read it and count again.")
        self.members = {"count": count}


@dataclass(frozen=True)
class Edit:
    """One edit of the content.

    ``append`` and ``prepend`` add ``text`` as lines of its own at the end or the beginning.
    ``replace`` puts ``text`` in the place of ``old``, which must occur exactly once.
    ``toggle_task`` toggles the checkbox with the number ``task``, counted from 1.
    """

    kind: Kind
    text: str = ""
    old: str = ""
    task: int = 0


def edit_note(
    *, note: Note, edit: Edit, by: Caller, now: dt.datetime, expected: Expected = None
) -> Note:
    """Edit the content under the note's lock and return the note. Always makes a revision.

    Raises :class:`NotExactlyOnce`, :class:`NoSuchTask`,
    :class:`notes.actions.versions.ContentTooLong`, :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        content = _edited(note.content, edit)
        if write(note, {"content": content}, by=by, cause=Note.Cause(edit.kind), now=now):
            events.record("note_updated", note=note, by=by)
    return note


def _edited(content: str, edit: Edit) -> str:
    try:
        match edit.kind:
            case "append":
                return edits.append(content, edit.text)
            case "prepend":
                return edits.prepend(content, edit.text)
            case "replace":
                return edits.replace_once(content, edit.old, edit.text)
            case "toggle_task":
                return tasks.toggle_task(content, edit.task)
    except edits.NotExactlyOnce as error:
        raise NotExactlyOnce(error.count) from None
    except tasks.NoSuchTask as error:
        raise NoSuchTask(error.count) from None
