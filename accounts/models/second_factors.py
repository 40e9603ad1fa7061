"""Second factors."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint


class SecondFactor(models.Model):
    """A user's one-time passwords (TOTP, RFC 6238) with recovery codes. Dies with the user.

    The secret is derived from ``nonce`` and ``SECRET_KEY`` (``cloudnotes.api.key_derivation``), so
    the table alone cannot make a one-time password. It is required at log-ins from ``confirmed_at``
    on, when the user has sent a first code. ``last_step`` is the 30-second step of the newest
    one-time password that was used: none is accepted twice (RFC 6238, 5.2). ``recovery_digests``
    are the SHA-256 of the unused recovery codes, of 100 random bits each.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="second_factor",
    )
    nonce = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=0, db_default=0)
    recovery_digests = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="second_factors_die_with_their_user")
        ]

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"
