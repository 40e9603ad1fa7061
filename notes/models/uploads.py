"""Uploads: files that clients bring to the storage themselves."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note
from notes.models.objects import StoredObject


class Upload(models.Model):
    """A file announced with its size and checksum, which its client puts into the storage.

    Counts in its owner's quota from the announcement on, and holds the object until it is done or
    ``expires_at``; the file is the note's only when it is done. Dies with the note, or some time
    after its end.
    """

    class State(models.TextChoices):
        """How far it is: being sent, said to be there and being read, or over."""

        OPEN = "open"
        VERIFYING = "verifying"
        DONE = "done"
        FAILED = "failed"

    note = models.ForeignKey(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, related_name="uploads"
    )
    object = models.OneToOneField(
        StoredObject,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="upload",
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    # What whoever announced it was known by, for the history.
    credential = models.CharField(max_length=40, blank=True, default="", db_default="")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # The attachment that it has become.
    attachment_id = models.PositiveBigIntegerField(null=True)
    # Whoever completes it, or reads it through, does so until then; others leave it.
    claimed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="note", name="uploads_die_with_their_note"),
            ForeignKeyConstraint(field="by", name="uploads_die_with_their_author"),
            ForeignKeyConstraint(
                field="object", on_delete="SET NULL", name="uploads_outlive_their_object"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "verifying", "done", "failed"]),
                name="upload_state_is_known",
            ),
        ]
        indexes = [
            # What the worker is to verify.
            models.Index(
                fields=["created_at"], condition=Q(state="verifying"), name="uploads_to_verify"
            ),
            # What the worker is to forget.
            models.Index(fields=["expires_at"], name="uploads_by_end"),
        ]

    def __str__(self) -> str:
        return f"upload {self.pk} to note {self.note_id}"
