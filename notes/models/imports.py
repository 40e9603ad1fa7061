"""Imported items: records of notes that came from an earlier generation."""

from django.conf import settings
from django.db import models

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note


class ImportedItem(models.Model):
    """Records that an item of another store became a note of ``owner``. Dies with the account.

    ``source`` is the item's id in that store, or a hash of the id or of the item. The row outlives
    the note, so that the next import does not restore a note that its owner has deleted.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    source = models.CharField(max_length=100)
    note = models.ForeignKey(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="owner", name="imported_items_die_with_their_owner"),
            ForeignKeyConstraint(
                field="note", on_delete="SET NULL", name="imported_items_outlive_their_note"
            ),
            # Also the cascade from the owner.
            models.UniqueConstraint(fields=["owner", "source"], name="one_import_per_source"),
        ]

    def __str__(self) -> str:
        return f"imported item {self.pk} of user {self.owner_id}"
