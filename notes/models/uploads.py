"""Uploads: files that clients send directly to the storage."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.files.models import StoredObject
from notes.models.notes import Note


class Upload(models.Model):
    """A file announced with size and checksum, which its client sends to the storage.

    Counts in the owner's quota from the announcement on. It points at its object until it is DONE
    or ``expires_at``; the note has the file only when it is DONE. Dies with the note, or some time
    after its end. ``notes.actions.uploads`` has the diagram of the states.
    """

    class State(models.TextChoices):
        """Open (being sent), verifying (being read), done or failed."""

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
    # The credential of the client that announced it, for the history.
    credential = models.CharField(max_length=40, blank=True, default="", db_default="")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # The attachment that was made from it.
    attachment_id = models.PositiveBigIntegerField(null=True)
    # Until then one process completes or reads it, and others leave it alone.
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
            # The uploads that the worker verifies.
            models.Index(
                fields=["created_at"], condition=Q(state="verifying"), name="uploads_to_verify"
            ),
            # The uploads that have expired.
            models.Index(fields=["expires_at"], name="uploads_by_end"),
        ]

    def __str__(self) -> str:
        return f"upload {self.pk} to note {self.note_id}"
