"""Attachments: the files of notes."""

from django.db import models
from django.utils import timezone

from cloudnotes.constraints import ForeignKeyConstraint
from notes.models.notes import Note
from notes.models.objects import StoredObject


class Attachment(models.Model):
    """The main file of a note: a name for a stored object. Dies with the note.

    Only a ready object is ever attached.
    """

    note = models.OneToOneField(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attachment"
    )
    object = models.ForeignKey(
        StoredObject, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attachments"
    )
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="note", name="attachments_die_with_their_note"),
            ForeignKeyConstraint(
                field="object", on_delete="NO ACTION", name="attached_objects_stay"
            ),
        ]

    def __str__(self) -> str:
        return f"attachment {self.pk} of note {self.note_id}"
