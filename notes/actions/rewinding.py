"""Notes as they were at a time, brought back."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts import categories
from accounts.models import User
from notes import access, events, history
from notes.actions.versions import write
from notes.models import Note, Revision

Effect = Literal["update", "trash", "restore"]
KINDS: dict[Effect, events.Kind] = {
    "update": "note_updated",
    "trash": "note_trashed",
    "restore": "note_restored",
}
NOTES_AT_ONCE = 500
LOOKED_AT_AT_ONCE = 200


@dataclass(frozen=True)
class Rewound:
    """What a rewind does, or would do, to a note; ``version`` is what it was in at that time."""

    note_id: int
    title: str
    effect: Effect
    version: int | None


def rewind(
    *, user: User, to: dt.datetime, category: str = "", dry_run: bool, now: dt.datetime
) -> tuple[list[Rewound], bool]:
    """Bring the user's notes back to a time, as new versions; return what that changes.

    With a ``category``, the notes that lie in or below it now or did then. A note that was not
    written yet or lay in the trash goes to the trash; one deleted for good does not come back;
    files stay as they are. At most 500 notes are changed in one call, which is one transaction: the
    second value says whether there are more, for the next call.
    """
    with transaction.atomic():
        found, is_more = _plan(user, to, category)
        if dry_run:
            return found, is_more
        changed = {change.note_id for change in found}
        rows = Note.objects.visible_to(user).filter(pk__in=changed)
        # All locks first and in the order of the ids, then feeds: see events.record.
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        notes = list(history.with_past(rows.order_by("pk"), to))
        past = history.get_past(notes)
        done = []
        for note in notes:
            target = _target(note, past.get(note.pk), to, now)
            change = _difference(note, past.get(note.pk), target)
            if change and write(note, target, by=user, cause=Note.Cause.REWIND, now=now):
                done.append(change)
                events.record(KINDS[change.effect], note=note, by=user)
    return done, is_more


def _plan(user: User, to: dt.datetime, category: str) -> tuple[list[Rewound], bool]:
    # What has not changed since then is as it was.
    candidates = Note.objects.visible_to(user).filter(updated_at__gt=to).order_by("pk")
    found: list[Rewound] = []
    last = 0
    while notes := list(history.with_past(candidates.filter(pk__gt=last), to)[:LOOKED_AT_AT_ONCE]):
        last = notes[-1].pk
        past = history.get_past(notes)
        for note in notes:
            revision = past.get(note.pk)
            if not _concerns(user, category, note, revision):
                continue
            change = _difference(note, revision, _target(note, revision, to, to))
            if change and len(found) == NOTES_AT_ONCE:
                return found, True
            if change:
                found.append(change)
    return found, False


def _concerns(user: User, category: str, note: Note, revision: Revision | None) -> bool:
    then = revision.category if revision else note.category
    if not access.may_file_under(user, then):
        return False
    return any(categories.is_within(where, category) for where in (note.category, then))


def _target(
    note: Note, revision: Revision | None, to: dt.datetime, now: dt.datetime
) -> dict[str, Any]:
    """Return what to write to have the note as it was."""
    if note.created_at > to:
        return {"trashed_at": note.trashed_at or now}
    then = revision or note
    target = {name: getattr(then, name) for name in Note.KEPT}
    if then.trashed_at is not None:
        # It is in the trash again, and stays for the whole time from now on.
        target["trashed_at"] = note.trashed_at or now
    return target


def _difference(note: Note, revision: Revision | None, target: dict[str, Any]) -> Rewound | None:
    if all(getattr(note, name) == value for name, value in target.items()):
        return None
    effect: Effect = "update"
    if (note.trashed_at is None) != (target["trashed_at"] is None):
        effect = "restore" if target["trashed_at"] is None else "trash"
    was_written = "title" in target
    version = (revision or note).version if was_written else None
    return Rewound(note.pk, target.get("title", note.title), effect, version)
