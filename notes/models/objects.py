"""Stored objects: what lies in the bucket, or is on its way in or out."""

import datetime as dt

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import Avatar

ABANDONED_AFTER = dt.timedelta(hours=1)


class StoredObjectQuerySet(models.QuerySet["StoredObject"]):
    """Questions about stored objects."""

    def unused(self) -> "StoredObjectQuerySet":
        """Return the objects that nothing points at."""
        return self.filter(~Exists(Avatar.objects.filter(key=OuterRef("key"))), attachments=None)

    def due_to_go(self, now: dt.datetime) -> "StoredObjectQuerySet":
        """Return the objects that nothing points at any more or that never arrived."""
        abandoned = Q(state="pending", created_at__lt=now - ABANDONED_AFTER)
        return self.unused().filter(Q(state__in=["ready", "doomed"]) | abandoned)


class StoredObject(models.Model):
    """An object under ``key`` in the storage. Outlives whatever pointed at it until it is deleted.

    The row comes before the object and goes after it, so every object has a row. Nothing cascades
    here on purpose: a row that no attachment or avatar points at *is* the order to delete its
    object, kept by the database whatever became of the process that deleted the note, the file or
    the user.
    """

    class State(models.TextChoices):
        """How far the object is: on its way in, usable, or on its way out."""

        PENDING = "pending"
        READY = "ready"
        DOOMED = "doomed"

    key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)

    objects = StoredObjectQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key"], name="one_row_per_object"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "ready", "doomed"]), name="object_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"object {self.key}"
