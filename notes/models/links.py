"""Links between notes."""

from django.db import models
from django.db.models import Q

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note


class Link(models.Model):
    """A link from one note to another. Follows the feed, as the index does; dies with its note.

    It links by a title, whose digest is ``title_key``, or by the number of a note, which may not
    exist.
    """

    source = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="links",
    )
    owner_id = models.PositiveBigIntegerField()
    title_key = models.CharField(max_length=16, blank=True, default="", db_default="")
    target_id = models.PositiveBigIntegerField(null=True, blank=True)

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
