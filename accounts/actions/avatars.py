"""A person's picture: set, replaced, removed."""

import hashlib
import io
import secrets
from collections.abc import Mapping
from importlib import import_module
from typing import IO, Any, Protocol, cast

from django.conf import settings
from django.db import transaction

from accounts import pictures
from accounts.actions import credentials
from accounts.models import Avatar, User
from cloudnotes.api.errors import DomainError

AVATAR_ID_BYTES = 16


class ObjectStore(Protocol):
    """The functions of the module that ``OBJECT_STORE`` names; a key identifies an object.

    An object is stored first, outside of transactions. It becomes permanent when ``make_ready`` is
    committed together with the row that holds its key. The store deletes objects of interrupted
    calls.
    """

    def store(self, *, content: IO[bytes], content_type: str) -> str: ...
    def make_ready(self, *, key: str) -> object: ...
    def read(self, *, key: str) -> bytes | None: ...
    def delete_after_commit(self, *, key__in: list[str]) -> None: ...
    def discard(self, *keys: str) -> None: ...


def set_avatar(*, user: User, images: Mapping[int, bytes]) -> User:
    """Set the user's picture to ``images`` (WebP by size in pixels) and return the user.

    Until the commit the user has the old picture. ``avatar_id`` does not change, or is created
    when there was no picture. Of parallel calls the last to commit wins.

    Raises :class:`accounts.actions.credentials.AccountGone` and the store's own errors (503).
    """
    stored = [
        Avatar(
            size=size,
            key=_objects().store(content=io.BytesIO(image), content_type=pictures.CONTENT_TYPE),
            etag=hashlib.sha256(image).hexdigest(),
        )
        for size, image in images.items()
    ]
    try:
        return _replace(user, stored)
    except DomainError:
        _objects().discard(*(avatar.key for avatar in stored))
        raise


def _replace(user: User, stored: list[Avatar]) -> User:
    with transaction.atomic():
        user = credentials.lock(user)
        for avatar in stored:
            _objects().make_ready(key=avatar.key)
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

    Raises the store's own error (503) when it does not answer.
    """
    return _objects().read(key=avatar.key)


def _let_go(user: User) -> None:
    keys = list(Avatar.objects.filter(user=user).values_list("key", flat=True))
    _objects().delete_after_commit(key__in=keys)
    Avatar.objects.filter(user=user).delete()


def _objects() -> ObjectStore:
    store: Any = import_module(settings.OBJECT_STORE)
    return cast(ObjectStore, store)
