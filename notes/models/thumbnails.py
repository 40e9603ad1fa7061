"""Thumbnails: small pictures of attached images."""

from django.db import models
from django.db.models import Q

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.files import thumbnailing
from notes.models.objects import StoredObject


class Thumbnail(models.Model):
    """A picture (``object``) of an image (``source``) within a square of ``size`` pixels.

    Dies with its source; counts in no quota.
    """

    source = models.ForeignKey(
        StoredObject,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # one_thumbnail_per_size begins with it
        related_name="thumbnails",
    )
    size = models.PositiveSmallIntegerField()
    object = models.ForeignKey(
        StoredObject, on_delete=models.DO_NOTHING, db_constraint=False, related_name="shows"
    )

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="source", name="thumbnails_die_with_their_source"),
            ForeignKeyConstraint(field="object", on_delete="NO ACTION", name="shown_objects_stay"),
            models.UniqueConstraint(fields=["source", "size"], name="one_thumbnail_per_size"),
            models.CheckConstraint(
                condition=Q(size__in=thumbnailing.SIZES), name="thumbnail_size_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"thumbnail of {self.size} pixels of object {self.source_id}"
