"""Counts of limited attempts."""

from django.db import models


class Attempts(models.Model):
    """The count of attempts of one kind in a window. Belongs to nobody, dies with its window.

    ``key`` is an HMAC of scope, account and network, so the table names none of them.
    ``ends_at`` is in milliseconds since 1970, because one SQL statement must compare it on both
    databases.
    """

    key = models.CharField(max_length=64, primary_key=True)
    used = models.PositiveIntegerField()
    ends_at = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "attempts"
        indexes = [
            # Windows that have ended, which the worker deletes.
            models.Index(fields=["ends_at"], name="attempts_by_end"),
        ]

    def __str__(self) -> str:
        return f"attempts {self.key[:8]}"
