"""A person's picture: set, replaced, removed."""

import hashlib
import io
import secrets
from collections.abc import Mapping

from django.db import transaction

from accounts import pictures
from accounts.actions import credentials
from accounts.file_service import get_file_service
from accounts.models import Avatar, User
from cloudnotes.api.errors import DomainError

AVATAR_ID_BYTES = 16


def set_avatar(*, user: User, images: Mapping[int, bytes]) -> User:
    """Set the user's picture to ``images`` (WebP by size in pixels) and return the user.

    Until the commit the user has the old picture. ``avatar_id`` does not change, or is created
    when there was no picture. Of parallel calls the last to commit wins.

    Raises :class:`accounts.actions.credentials.AccountGone` and the service's own errors (503).
    """
    files = get_file_service()
    stored = [
        Avatar(
            size=size,
            key=files.store(content=io.BytesIO(image), content_type=pictures.CONTENT_TYPE),
            etag=hashlib.sha256(image).hexdigest(),
        )
        for size, image in images.items()
    ]
    try:
        return _replace(user, stored)
    except DomainError:
        files.discard(*(avatar.key for avatar in stored))
        raise


def _replace(user: User, stored: list[Avatar]) -> User:
    with transaction.atomic():
        user = credentials.lock(user)
        for avatar in stored:
            get_file_service().make_ready(key=avatar.key)
            avatar.user = user
        _let_go(user)
        Avatar.objects.bulk_create(stored)
        if user.avatar_id is None:
            user.avatar_id = secrets.token_urlsafe(AVATAR_ID_BYTES)
            user.save(update_fields=["avatar_id"])
    return user


def remove_avatar(*, user: User) -> User:
    """Remove the user's picture, if there is one, and return the user.

    The URL of the picture is never used again. Raises
    :class:`accounts.actions.credentials.AccountGone`.
    """
    with transaction.atomic():
        user = credentials.lock(user)
        _let_go(user)
        user.avatar_id = None
        user.save(update_fields=["avatar_id"])
    return user


def read(*, avatar: Avatar) -> bytes | None:
    """Return the picture's bytes, None if it has been replaced or removed.

    Raises the service's own error (503) when it does not answer.
    """
    return get_file_service().read(key=avatar.key)


def _let_go(user: User) -> None:
    keys = list(Avatar.objects.filter(user=user).values_list("key", flat=True))
    get_file_service().delete_after_commit(keys=keys)
    Avatar.objects.filter(user=user).delete()
