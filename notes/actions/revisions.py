"""Restore, pin and thin out revisions. ``versions.write`` makes them."""

import datetime as dt

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import TruncDay, TruncHour, TruncWeek
from django.utils import timezone

from accounts.callers import Caller
from notes import access, events, history
from notes.actions.versions import Expected, NoteGone, lock, write
from notes.models import Note, Revision
from notes.models.fields import VERSIONED

# Of revisions older than this, only the last of each hour, day or week (in UTC) is kept.
STAGES = (
    (dt.timedelta(hours=24), TruncHour),
    (dt.timedelta(days=7), TruncDay),
    (dt.timedelta(days=90), TruncWeek),
)
THIN_BATCH_SIZE = 1000


def restore_state(
    *, note: Note, version: int, by: Caller, now: dt.datetime, expected: Expected = None
) -> Note:
    """Restore the state of a version as a new version of the note, and return the note.

    ``trashed_at`` is not restored: the note stays out of the trash. The category is restored for
    the owner only, because only the owner may move a note.

    Raises :class:`notes.actions.versions.NoteGone`, also if the history does not have that version
    for this user, and :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        state = history.get_state(note, version, caller=by)  # it may just have been deleted
        if state is None:
            raise NoteGone
        names = set(VERSIONED) - {"trashed_at"}
        if not access.can(by, "organize", note):
            names -= access.ORGANIZED
        changes = {name: getattr(state, name) for name in VERSIONED if name in names}
        if write(note, changes, by=by, cause=Note.Cause.RESTORE, now=now):
            events.record("note_updated", note=note, by=by)
    return note


def pin_revision(*, revision: Revision, is_pinned: bool) -> Revision:
    """Pin or unpin a revision and return it; a pinned one is never thinned out.

    Raises :class:`notes.actions.versions.NoteGone` if it was thinned out meanwhile.
    """
    if not Revision.objects.filter(pk=revision.pk).update(is_pinned=is_pinned, thinned=0):
        raise NoteGone
    revision.is_pinned = is_pinned
    return revision


def thin_due() -> bool:
    """Thin out one batch of old revisions; a worker's job. Returns whether there may be more.

    All revisions are kept for 24 hours, then one per hour for 7 days, one per day for 90 days, one
    per week after that. Kept is the last one of the period in each category: the feed of a token
    that is limited to a category asks the history whether a note was ever in it. Pinned revisions
    are always kept.
    """
    now, is_more = timezone.now(), False
    for stage, (age, period) in enumerate(STAGES):
        due = Revision.objects.filter(thinned=stage, replaced_at__lt=now - age)
        ids = list(due.order_by("replaced_at").values_list("pk", flat=True)[:THIN_BATCH_SIZE])
        with transaction.atomic():
            batch = Revision.objects.filter(pk__in=ids, thinned=stage)
            later = Revision.objects.alias(period=period("replaced_at")).filter(
                note=OuterRef("note"),
                category=OuterRef("category"),
                version__gt=OuterRef("version"),
                period=OuterRef("period"),
            )
            crowded = batch.filter(is_pinned=False).alias(period=period("replaced_at"))
            crowded.filter(Exists(later)).delete()
            batch.update(thinned=F("thinned") + 1)
        is_more |= len(ids) == THIN_BATCH_SIZE
    return is_more
