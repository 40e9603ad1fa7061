"""Bring all notes of a user back to their states of an earlier time."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts.callers import Caller
from cloudnotes.db.expressions import OctetLength
from notes import events, history
from notes.actions.versions import write
from notes.files import quotas
from notes.models import Note, Revision
from notes.models.fields import VERSIONED

Effect = Literal["update", "trash", "restore"]
KINDS: dict[Effect, events.Kind] = {
    "update": "note_updated",
    "trash": "note_trashed",
    "restore": "note_restored",
}
MAX_NOTES = 500
MAX_BYTES = 16 * 2**20
SCAN_BATCH_SIZE = 5000
WRITE_BATCH_SIZE = 10  # notes; each may have two texts of 1 MiB in memory


@dataclass(frozen=True)
class Rewound:
    """What a rewind does, or would do, to a note; ``version`` is its version at that time."""

    note_id: int
    title: str
    effect: Effect
    version: int | None


def rewind(
    *,
    caller: Caller,
    to: dt.datetime,
    category: str = "",
    after: int = 0,
    dry_run: bool,
    now: dt.datetime,
) -> tuple[list[Rewound], int | None]:
    """Bring the user's notes back to a time, as new versions; return the changes.

    With a ``category``, only notes that are in or below it now, or were at that time. A note that
    did not exist yet or was in the trash goes to the trash. A note that was deleted for good does
    not come back. One call is one transaction that changes at most 500 notes, or 16 MiB of text.
    The second value is the ``after`` of the next call, None if no notes are left to check.
    """
    with transaction.atomic():
        planned, following = _plan(caller, to, category, after)
        if dry_run or not planned:
            return planned, following
        ids = [change.note_id for change in planned]
        # All locks first: the notes in the order of their ids, then the quota (for files that come
        # back), then the feeds, which the first event locks (see events.record).
        rows = Note.objects.owned_by(caller).filter(pk__in=ids)
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        quotas.lock(caller.pk)
        done = []
        for start in range(0, len(ids), WRITE_BATCH_SIZE):
            batch = rows.filter(pk__in=ids[start : start + WRITE_BATCH_SIZE]).order_by("pk")
            notes = list(history.with_past(batch, to))
            past = history.get_past(notes)
            for note in notes:
                state = past.get(note.pk)
                target = _target(note, state, to, now)
                change = _rewound(note, state, target)
                if write(note, target, by=caller, cause=Note.Cause.REWIND, now=now):
                    done.append(change)
                    events.record(KINDS[change.effect], note=note, by=caller)
    return done, following


def _plan(
    caller: Caller, to: dt.datetime, category: str, after: int
) -> tuple[list[Rewound], int | None]:
    """Return the changes of the next notes that differ from that time, without their texts."""
    candidates = Note.objects.owned_by(caller).filter(updated_at__gt=to, pk__gt=after)
    ids = list(candidates.order_by("pk").values_list("pk", flat=True)[: SCAN_BATCH_SIZE + 1])
    following = ids[SCAN_BATCH_SIZE - 1] if len(ids) > SCAN_BATCH_SIZE else None
    scanned = candidates.filter(pk__lte=following) if following else candidates
    differing = history.differing(scanned, to, category=category, limit=caller.category).order_by(
        "pk"
    )
    notes: list[Note] = []
    size = 0
    sized = differing.defer("content").annotate(size=OctetLength("content"))
    for note in sized[: MAX_NOTES + 1]:
        size += note.size  # type: ignore[attr-defined]
        if notes and (len(notes) == MAX_NOTES or size > MAX_BYTES):
            following = notes[-1].pk
            break
        notes.append(note)
    past = history.get_past(notes, without_content=True)
    return [
        _rewound(note, past.get(note.pk), _target(note, past.get(note.pk), to, to))
        for note in notes
    ], following


def _target(
    note: Note, revision: Revision | None, to: dt.datetime, now: dt.datetime
) -> dict[str, Any]:
    """Return the values to write to bring a note back to its state at the time ``to``."""
    if note.created_at > to:
        return {"trashed_at": note.trashed_at or now}
    then = revision or note
    target = {
        name: getattr(then, name) for name in VERSIONED if name not in then.get_deferred_fields()
    }
    if then.trashed_at is not None:
        # It goes to the trash again; its 30 days there begin now.
        target["trashed_at"] = note.trashed_at or now
    return target


def _rewound(note: Note, revision: Revision | None, target: dict[str, Any]) -> Rewound:
    effect: Effect = "update"
    if (note.trashed_at is None) != (target["trashed_at"] is None):
        effect = "restore" if target["trashed_at"] is None else "trash"
    was_written = "title" in target
    version = (revision or note).version if was_written else None
    return Rewound(note.pk, target.get("title", note.title), effect, version)
