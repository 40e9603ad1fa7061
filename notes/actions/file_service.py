"""The files of accounts: pictures, usage, and what goes with an account that is deleted.

Implements :class:`accounts.file_service.FileService`, which documents the functions.
"""

from collections.abc import Sequence

from django.db.models import Q

from accounts.models import Avatar, User
from notes.files import objects, quotas
from notes.files.objects import discard, make_ready, read, store
from notes.models import Feed, Note, SearchIndex

__all__ = [
    "delete_after_commit",
    "discard",
    "get_usage",
    "make_ready",
    "read",
    "release_owner",
    "store",
]


def delete_after_commit(*, keys: Sequence[str]) -> None:
    """Delete pictures after the commit, if no row has their keys then."""
    objects.delete_after_commit(Q(key__in=keys))


def get_usage(*, user: User) -> dict[str, int]:
    """Return the bytes and files of an account, and their limits."""
    return quotas.get_usage(user.pk)


def release_owner(*, owner: User) -> None:
    """Delete the owner's objects after the commit; the database's cascade deletes the rows."""
    # Before the notes, in the order that indexing uses.
    list(SearchIndex.objects.select_for_update().filter(user=owner).values_list("pk"))
    # In the order of all writers. While the notes and the quota are locked, no running upload can
    # attach an object that this does not see.
    list(Note.objects.select_for_update().filter(owner=owner).order_by("pk").values_list("pk"))
    quotas.lock(owner.pk)
    Feed.objects.lock(owner.pk)
    pictures = Avatar.objects.filter(user=owner).values("key")
    objects.delete_after_commit(Q(owner=owner) | Q(key__in=pictures))
