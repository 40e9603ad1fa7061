"""Links between notes."""

from django.db import models
from django.db.models import Q

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import MAX_TITLE_LENGTH, Note

KEY_LENGTH = 16
MAX_LONGER_TITLES = 2  # that a link may have, beside the shortest


class Link(models.Model):
    """A link from one note to another. Follows the feed, as the index does; dies with its note.

    It links by a title, whose digest is ``title_key``, or by the number of a note, which may not
    exist. ``[[C#]]`` may link to the note "C#", or to a place in the note "C": it is a row for each
    title. ``unless`` has the digests of the longer titles, one after the other: the row counts as
    long as no note has one of them.
    """

    source = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="links",
    )
    owner_id = models.PositiveBigIntegerField()
    title_key = models.CharField(max_length=KEY_LENGTH, blank=True, default="", db_default="")
    target_id = models.PositiveBigIntegerField(null=True, blank=True)
    unless = models.CharField(
        max_length=KEY_LENGTH * MAX_LONGER_TITLES, blank=True, default="", db_default=""
    )

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="source", name="links_die_with_their_note"),
            models.CheckConstraint(
                condition=~Q(title_key="") ^ Q(target_id__isnull=False),
                name="link_by_title_or_by_number",
            ),
        ]
        indexes = [
            # The links to a title, and to a note.
            models.Index(
                fields=["owner_id", "title_key", "source"],
                condition=~Q(title_key=""),
                name="links_by_title",
            ),
            models.Index(
                fields=["owner_id", "target_id", "source"],
                condition=Q(target_id__isnull=False),
                name="links_by_number",
            ),
            # The cascade from the note.
            models.Index(fields=["source"], name="links_by_source"),
        ]

    def __str__(self) -> str:
        return f"link {self.pk} of note {self.source_id}"


class Renaming(models.Model):
    """A title that a note had, until the links that have it are rewritten. Dies with the note.

    A trigger of the note's table adds the row, whoever renames. ``credential`` is the one that
    renamed the note.
    """

    note = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="renamings",
    )
    owner_id = models.PositiveBigIntegerField()
    title = models.CharField(max_length=MAX_TITLE_LENGTH)
    credential = models.CharField(max_length=40, blank=True, default="", db_default="")

    class Meta:
        constraints = [ForeignKeyConstraint(field="note", name="renamings_die_with_their_note")]
        indexes = [
            models.Index(fields=["owner_id"], name="renamings_by_owner"),
            # The cascade from the note.
            models.Index(fields=["note"], name="renamings_by_note"),
        ]

    def __str__(self) -> str:
        return f"renaming {self.pk} of note {self.note_id}"
