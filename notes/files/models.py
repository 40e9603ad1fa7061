"""Rows of stored objects, files in the storage or on their way in or out, and of thumbnails."""

import datetime as dt

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.files import thumbnailing

ABANDONED_AFTER = dt.timedelta(hours=1)  # and the longest that an upload may take
SLOWEST_BYTES_PER_SECOND = 32 * 2**10  # as cloudnotes.server.request_body has it
# How long a client may take for the upload that it announced.
UPLOAD_LASTS = dt.timedelta(hours=24)
# So many attempts to delete an object have failed when an operator is told.
STUCK_AFTER = 3
# The models of other apps that point at an object by its key.
POINTING_BY_KEY = ("accounts.Avatar",)


class StoredObjectQuerySet(models.QuerySet["StoredObject"]):
    """Queries of stored objects."""

    def unused(self) -> "StoredObjectQuerySet":
        """Return the objects that nothing points at."""
        by_key = [
            Exists(apps.get_model(label).objects.filter(key=OuterRef("key")))
            for label in POINTING_BY_KEY
        ]
        return self.filter(
            *(~is_pointing for is_pointing in by_key),
            attachments=None,
            kept_files=None,
            upload=None,
            shows=None,
        )

    def due_to_go(self, now: dt.datetime) -> "StoredObjectQuerySet":
        """Return the objects to delete: nothing points at them, or their bytes never arrived.

        Those that could not be deleted wait until ``deletion_due_at``.
        """
        longest = dt.timedelta(seconds=settings.MAX_FILE_BYTES / SLOWEST_BYTES_PER_SECOND)
        abandoned = Q(state="pending", created_at__lt=now - ABANDONED_AFTER - longest)
        may_go = Q(deletion_due_at=None) | Q(deletion_due_at__lte=now)
        return self.unused().filter(may_go, Q(state__in=["ready", "doomed"]) | abandoned)

    def stuck(self) -> "StoredObjectQuerySet":
        """Return the objects that could not be deleted several times."""
        return self.filter(deletion_failed__gte=STUCK_AFTER)

    def held_by(self, owner_id: int) -> "StoredObjectQuerySet":
        """Return the objects that count in an owner's quota: ready ones and announced uploads."""
        return self.filter(
            Q(state="ready") | Q(state="pending", upload__isnull=False), owner=owner_id
        )


class StoredObject(models.Model):
    """An object under ``key`` in the storage. Outlives whatever pointed at it until it is deleted.

    The row is made before the object and deleted after it, so every object has a row. On purpose,
    nothing cascades here: a row that nothing points at (no attachment, revision, upload, thumbnail
    or avatar) *is* the order to delete its object. The order stays in the database even if the
    process that deleted the note, the file or the user dies. ``notes.files.objects`` has the
    diagram of the states.

    The object counts in the quota of ``owner``; avatars and thumbnails count in none. An owner has
    one ready object per content. ``upload_id`` is the storage's id of a running upload in parts.
    """

    class State(models.TextChoices):
        """Pending (on its way in), ready, or marked deleted."""

        PENDING = "pending"
        READY = "ready"
        DOOMED = "doomed"

    key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True)
    content_type = models.CharField(max_length=100)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
    )
    upload_id = models.CharField(max_length=1024, blank=True, default="", db_default="")
    # Whether a client sends it, or has sent it, to a separate key (notes.files.storage.arriving).
    is_arriving = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now)
    # When ``reconcile_storage`` found that its bytes are lost or wrong.
    damaged_at = models.DateTimeField(null=True)
    # When its thumbnails are due; while a worker makes them, when another one may retry.
    thumbnails_due_at = models.DateTimeField(null=True)
    # How often that failed on a busy machine. Null and not 0, because SQLite could add a NOT NULL
    # column only by making a new table, and triggers name this one.
    thumbnails_failed = models.PositiveSmallIntegerField(null=True)
    # How often it could not be deleted, and when the next attempt is due.
    deletion_failed = models.PositiveSmallIntegerField(null=True)
    deletion_due_at = models.DateTimeField(null=True)

    objects = StoredObjectQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(
                field="owner", on_delete="SET NULL", name="objects_outlive_their_owner"
            ),
            models.UniqueConstraint(fields=["key"], name="one_row_per_object"),
            models.UniqueConstraint(
                fields=["owner", "sha256"],
                condition=Q(state="ready"),
                name="one_object_per_content",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "ready", "doomed"]), name="object_state_is_known"
            ),
        ]
        indexes = [
            # The images whose thumbnails the worker makes.
            models.Index(
                fields=["thumbnails_due_at"],
                condition=Q(thumbnails_due_at__isnull=False),
                name="objects_to_show",
            ),
            # The objects that could not be deleted.
            models.Index(
                fields=["deletion_failed"],
                condition=Q(deletion_failed__isnull=False),
                name="objects_not_deleted",
            ),
        ]

    def __str__(self) -> str:
        return f"object {self.key}"


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
