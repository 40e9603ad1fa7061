"""Revisions: brought back, pinned, thinned out. They are made by ``versions.write``."""

import datetime as dt

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import TruncDay, TruncHour, TruncWeek
from django.utils import timezone

from accounts.models import User
from notes import access, events, history
from notes.actions.versions import Expected, NoteGone, lock, write
from notes.models import Note, Revision
from notes.models.fields import VERSIONED

# What is older than this keeps the last revision of each hour, day or week (in UTC).
STAGES = (
    (dt.timedelta(hours=24), TruncHour),
    (dt.timedelta(days=7), TruncDay),
    (dt.timedelta(days=90), TruncWeek),
)
THIN_BATCH_SIZE = 1000


def restore_state(
    *, note: Note, version: int, by: User, now: dt.datetime, expected: Expected = None
) -> Note:
    """Give a note all that a version said again, as a new version, and return it.

    Only the trash is left alone: the note is live, and stays so. Where a note lies is for its owner
    to say, so the category comes back for the owner alone.

    Raises :class:`notes.actions.versions.NoteGone`, also when the history does not have that
    version for this user, and :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        state = history.get_state(note, version, user=by)  # some of it may just have gone for good
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
    """Keep a revision from being thinned out, or no longer, and return it.

    Raises :class:`notes.actions.versions.NoteGone` when it was thinned out just now.
    """
    if not Revision.objects.filter(pk=revision.pk).update(is_pinned=is_pinned, thinned=0):
        raise NoteGone
    revision.is_pinned = is_pinned
    return revision


def thin_due() -> bool:
    """Delete some of the revisions that are too close for their age; a worker's job.

    All are kept for 24 hours, then one an hour for 7 days, one a day for 90, one a week after:
    each time the last in its category, since the feed of a token that is limited to one asks the
    history whether a note ever lay there, and those that are pinned. Returns whether there may be
    more.
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
