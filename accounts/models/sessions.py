"""Sessions: one row for each log-in."""

import datetime as dt
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint


class SessionQuerySet(models.QuerySet["Session"]):
    """Queries of sessions."""

    def live(self, now: dt.datetime) -> "SessionQuerySet":
        """Return the sessions that are neither revoked nor expired."""
        return self.filter(revoked_at=None, expires_at__gt=now)


class Session(models.Model):
    """A device that has logged in. Belongs to its user; every token of it names it as ``sid``.

    ``refresh_id`` is the ``jti`` of the only valid refresh token, ``previous_refresh_id`` that of
    the token before it. The ids are not secret: nobody can make a token from them without the key,
    so a copy of the table lets nobody log in. A revoked session is kept, as evidence, as long as
    its user.
    """

    class Reason(models.TextChoices):
        """Why a session was revoked."""

        LOGOUT = "logout"
        LOGOUT_ALL = "logout_all"
        REFRESH_REUSED = "refresh_reused"
        USER_DISABLED = "user_disabled"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="sessions",
    )
    refresh_id = models.UUIDField(default=uuid.uuid4)
    previous_refresh_id = models.UUIDField(null=True, blank=True)
    rotated_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    user_agent = models.CharField(max_length=300, blank=True, default="", db_default="")
    address = models.GenericIPAddressField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(
        max_length=20, choices=Reason.choices, blank=True, default="", db_default=""
    )

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="sessions_die_with_their_user"),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_reason="")
                | Q(revoked_at__isnull=False) & ~Q(revoked_reason=""),
                name="revoked_for_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.pk} of user {self.user_id}"
