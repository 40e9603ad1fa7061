"""Personal access tokens."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint


class PersonalAccessTokenQuerySet(models.QuerySet["PersonalAccessToken"]):
    """Queries of personal access tokens."""

    def live(self, now: dt.datetime) -> "PersonalAccessTokenQuerySet":
        """Return the tokens that have not expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now))


class PersonalAccessToken(models.Model):
    """A user's token for a program, with some scopes. Dies with the user.

    Only the SHA-256 of the token is kept: 256 random bits need no slow hash. ``scopes`` are
    separated by spaces (RFC 6749, 3.3). With a ``category`` the token can use only notes of that
    category and of those below it. Revoking a token deletes its row.
    """

    class Scope(models.TextChoices):
        """What a token may do. ``notes:write`` includes reading and appending."""

        NOTES_READ = "notes:read"
        NOTES_WRITE = "notes:write"
        NOTES_APPEND = "notes:append"
        ACCOUNT_READ = "account:read"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="personal_access_tokens",
    )
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    scopes = models.CharField(max_length=200)
    category = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = PersonalAccessTokenQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="access_tokens_die_with_their_user"),
            models.UniqueConstraint(fields=["digest"], name="one_row_per_access_token"),
            models.CheckConstraint(condition=~Q(scopes=""), name="access_token_has_a_scope"),
        ]

    def __str__(self) -> str:
        return f"personal access token {self.pk} of user {self.user_id}"


Scope = PersonalAccessToken.Scope
INCLUDED = {Scope.NOTES_WRITE: {Scope.NOTES_READ, Scope.NOTES_APPEND}}


def grants(scopes: str, needed: str | None) -> bool:
    """Return whether these scopes of a personal access token include the needed one."""
    granted: set[str] = set(scopes.split())
    for scope in tuple(granted):
        granted |= INCLUDED.get(Scope(scope), set())
    return needed in granted
