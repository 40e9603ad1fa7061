"""Avatars: pictures of users."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts import pictures
from cloudnotes.db.constraints import ForeignKeyConstraint


class Avatar(models.Model):
    """A user's picture in one size: the stored object under ``key``. Dies with the user.

    ``User.avatar_id`` is in the URL of the pictures of all sizes. ``etag`` is the SHA-256 of the
    stored bytes in hex, so that an unchanged picture is not read from the storage.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # one_avatar_per_size begins with it
        related_name="avatars",
    )
    size = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=200)
    etag = models.CharField(max_length=64)

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="avatars_die_with_their_user"),
            models.UniqueConstraint(fields=["user", "size"], name="one_avatar_per_size"),
            models.UniqueConstraint(fields=["key"], name="one_avatar_per_object"),
            models.CheckConstraint(
                condition=Q(size__in=pictures.SIZES), name="avatar_size_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"avatar of user {self.user_id}, {self.size} pixels"
