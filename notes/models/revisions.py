"""Revisions: earlier states of notes."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, models
from django.db.models import Q

from cloudnotes.db.constraints import ForeignKeyConstraint
from cloudnotes.db.triggers import Trigger
from notes.models.fields import VERSIONED
from notes.models.notes import MAX_TITLE_LENGTH, Note, filed_within

if TYPE_CHECKING:
    from accounts.callers import Caller


def snapshot_sql(*, replaced_at: str) -> str:
    """Return the INSERT that copies the states of notes into revisions, without its FROM.

    ``replaced_at`` is the SQL expression for the time of the write that replaces the state.
    """
    columns = ", ".join(VERSIONED)
    return (
        f"INSERT INTO notes_revision (note_id, first_version, version, {columns},"
        " since, replaced_at, by_id, cause, credential, is_pinned, thinned)"
        f" SELECT id, state_version, version, {columns},"
        f" state_since, {replaced_at}, state_by_id, state_cause, state_credential, FALSE, 0"
    )


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Queries of revisions."""

    def snapshot(self, ids: Sequence[int], *, now: dt.datetime) -> None:
        """Copy the states of some locked notes into revisions, before they are replaced."""
        later = "MAX" if connection.vendor == "sqlite" else "GREATEST"
        snapshot = snapshot_sql(replaced_at=f"{later}(updated_at, %s)")
        sql = f"{snapshot} FROM notes_note WHERE id IN ({', '.join(['%s'] * len(ids))})"
        with connection.cursor() as cursor:
            cursor.execute(sql, [connection.ops.adapt_datetimefield_value(now), *ids])

    def visible_to(self, caller: "Caller") -> "RevisionQuerySet":
        """Return the revisions that a user may see; ``notes.access.may_see_state`` as a filter."""
        revisions = self.filter(note__in=Note.objects.visible_to(caller))
        if not caller.category:
            return revisions
        return revisions.filter(filed_within(caller.category) | ~Q(note__owner_id=caller.pk))


class Revision(models.Model):
    """A state of a note that a write has replaced. Dies with the note, or is thinned out with age.

    The note had this state from ``first_version`` to ``version`` and from ``since`` until
    ``replaced_at``. ``by``, ``cause`` and ``credential`` say who made it, why and with which
    credential. ``thinned`` is the number of stages of thinning that it has passed; a pinned one is
    never deleted by thinning.
    """

    note = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="revisions",
    )
    first_version = models.PositiveIntegerField()
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=MAX_TITLE_LENGTH, blank=True)
    content = models.TextField(blank=True)
    category = models.CharField(max_length=200, blank=True)
    tags = models.TextField(blank=True, default="", db_default="")
    files = models.TextField(blank=True, default="", db_default="")
    trashed_at = models.DateTimeField(null=True, blank=True)
    since = models.DateTimeField()
    replaced_at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    cause = models.CharField(max_length=20, choices=Note.Cause.choices)
    credential = models.CharField(max_length=40, blank=True)
    is_pinned = models.BooleanField(default=False)
    thinned = models.PositiveSmallIntegerField(default=0)

    objects = RevisionQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="note", name="revisions_die_with_their_note"),
            ForeignKeyConstraint(
                field="by", on_delete="SET NULL", name="revisions_outlive_their_author"
            ),
            # Also for finding a version, and for the cascade from the note.
            models.UniqueConstraint(fields=["note", "version"], name="one_revision_per_version"),
            models.CheckConstraint(
                condition=Q(first_version__lte=models.F("version")),
                name="revision_versions_in_order",
            ),
            # Makes the references to the objects of a revision's files (notes.models.KeptFile),
            # whichever code makes the revision.
            Trigger(
                name="notes_revision_keeps_files",
                event="AFTER INSERT",
                condition="NEW.files <> ''",
                postgresql="""
INSERT INTO notes_keptfile (revision_id, object_id)
SELECT DISTINCT NEW.id, stored.id
FROM jsonb_array_elements(NEW.files::jsonb) AS file
JOIN notes_storedobject AS stored ON stored.id = (file ->> 'object')::bigint;
""",
                sqlite="""
INSERT INTO notes_keptfile (revision_id, object_id)
SELECT DISTINCT NEW.id, stored.id FROM json_each(NEW.files)
JOIN notes_storedobject AS stored ON stored.id = json_extract(value, '$.object');
""",
            ),
        ]
        indexes = [
            # The revisions that are old enough for the next stage of thinning.
            models.Index(fields=["thinned", "replaced_at"], name="revisions_to_thin"),
        ]

    @classmethod
    def of(cls, note: Note, replaced_at: dt.datetime | None = None) -> "Revision":
        """Return the current state of a note as an unsaved revision.

        ``replaced_at`` is None if the state is not being replaced.
        """
        revision = cls(
            note=note,
            first_version=note.state_version,
            version=note.version,
            **{name: getattr(note, name) for name in VERSIONED},
            since=note.state_since,
            by_id=note.state_by_id,
            cause=note.state_cause,
            credential=note.state_credential,
        )
        if replaced_at:
            revision.replaced_at = replaced_at
        return revision

    def __str__(self) -> str:
        return f"version {self.version} of note {self.note_id}"
