"""Idempotency keys."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint


class IdempotencyKey(models.Model):
    """The stored response to a user's POST with a key, for a day. Dies with the user.

    Written in the transaction of the effect. Neither the key nor the answer can be read from the
    row: ``digest`` is an HMAC of the key, ``fingerprint`` one of the request, and ``answer``
    (headers and body) is encrypted with a key that is derived from ``SECRET_KEY`` and the
    ``Idempotency-Key``; see ``accounts.idempotency``.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # one_answer_per_idempotency_key begins with it
        related_name="idempotency_keys",
    )
    digest = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="idempotency_keys_die_with_their_user"),
            models.UniqueConstraint(
                fields=["user", "digest"], name="one_answer_per_idempotency_key"
            ),
        ]
        indexes = [
            # Expired keys, which the worker deletes.
            models.Index(fields=["created_at"], name="idempotency_keys_by_age"),
        ]

    def __str__(self) -> str:
        return f"idempotency key {self.pk} of user {self.user_id}"
