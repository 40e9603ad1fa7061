"""Stored objects: in before something points at them, out after the commit that let go of them.

In: the row that announces the object, the object, and then, in the transaction of whatever points
at it, the object counts. Out: lock, check, doom; then delete the object; then its row. Every step
can be repeated, so a process may die between any two and the sweeper does the rest.

``accounts`` stores pictures through this module (setting ``OBJECT_STORE``) and knows objects by
their keys alone.
"""

import datetime as dt
import hashlib
import logging
import math
import time
from typing import IO, Any

from django.db import Error, transaction
from django.db.models import Q
from django.utils import timezone

from cloudnotes.errors import DomainError
from notes import storage
from notes.models import StoredObject
from notes.models.objects import StoredObjectQuerySet

BATCH = 200
PATIENCE_SECONDS = 5.0
READ_BYTES = 2**20

logger = logging.getLogger(__name__)


class UploadTooSlow(DomainError):
    """The upload took so long that the sweeper has given it up."""

    status = 503
    code = "upload_too_slow"
    detail = "The upload took too long and was given up. Please try again."


def store(*, content: IO[bytes], content_type: str) -> str:
    """Store ``content`` from its start to its end and return its key.

    To be called outside of transactions: the row is committed before the object is on its way.
    The object counts once :func:`make_ready` is committed together with what points at it.
    Raises :class:`notes.storage.StorageUnavailable`.
    """
    digest, size = hashlib.sha256(), 0
    content.seek(0)
    while chunk := content.read(READ_BYTES):
        digest.update(chunk)
        size += len(chunk)
    announced = StoredObject.objects.create(
        key=storage.new_key(), size=size, sha256=digest.hexdigest(), content_type=content_type
    )
    content.seek(0)
    storage.put(announced.key, content, content_type)
    return announced.key


def make_ready(*, key: str) -> StoredObject:
    """Let an object count, in the transaction that points something at it, and return its row.

    Raises :class:`UploadTooSlow`.
    """
    announced = (
        StoredObject.objects.select_for_update()
        .filter(key=key, state=StoredObject.State.PENDING)
        .first()
    )
    if announced is None:
        raise UploadTooSlow
    announced.state = StoredObject.State.READY
    announced.save(update_fields=["state"])
    return announced


def read(*, key: str) -> bytes | None:
    """Return a whole object, None when there is none under ``key``. For small ones.

    Raises :class:`notes.storage.StorageUnavailable`.
    """
    return storage.read(key)


def delete_after_commit(*conditions: Q, **criteria: Any) -> None:
    """Once the running transaction is committed, delete the objects that match now.

    ``conditions`` and ``criteria`` are filters of stored objects such as
    ``attachments__note=note``. To be called before the rows that point at the objects go, and once
    a transaction: each call may keep somebody waiting. What fails here is left to :func:`sweep`.
    """
    matching = StoredObject.objects.filter(*conditions, **criteria)
    ids = list(matching.values_list("pk", flat=True))
    if ids:
        transaction.on_commit(lambda: _delete_now(ids))


def _delete_now(ids: list[int]) -> None:
    """Delete for at most about ``PATIENCE_SECONDS``: somebody waits for the answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        for row in _doom(StoredObject.objects.filter(pk__in=ids), timezone.now()):
            if time.monotonic() > deadline:
                logger.warning("Deleting objects takes long; the rest is left to the sweeper.")
                return
            _delete(row)
    except (storage.StorageUnavailable, Error):
        # The request has done what it was asked to; the rows keep the order for the sweeper.
        logger.warning("Objects could not be deleted and are left to the sweeper.", exc_info=True)


def discard(*keys: str) -> None:
    """Delete objects that were stored for something that would not have them.

    The sweeper may have taken their rows already while the objects were still on their way: the
    objects go by their keys.
    """
    try:
        for key in keys:
            storage.delete(key)
            StoredObject.objects.unused().filter(key=key).delete()
    except storage.StorageUnavailable:
        logger.warning("An object could not be deleted and is left to the sweeper.")


def sweep(*, now: dt.datetime, patience: float = math.inf) -> int:
    """Delete every object that is due to go and return how many went.

    Ends after about ``patience`` seconds with what is left for the next time. Raises
    :class:`notes.storage.StorageUnavailable`; what was done until then stays done.
    """
    total, deadline = 0, time.monotonic() + patience
    while True:
        ids = list(StoredObject.objects.due_to_go(now).values_list("pk", flat=True)[:BATCH])
        doomed = _doom(StoredObject.objects.filter(pk__in=ids), now)
        for row in doomed:
            if time.monotonic() > deadline:
                return total
            _delete(row)
            total += 1
        if not doomed:
            return total


def sweep_due() -> None:
    """Delete what is due to go; a worker's job. What the storage does not delete waits."""
    try:
        sweep(now=timezone.now())
    except storage.StorageUnavailable:
        logger.warning("The storage does not answer; objects wait for the next sweep.")


def _delete(doomed: StoredObject) -> None:
    storage.delete(doomed.key)
    StoredObject.objects.filter(pk=doomed.pk, state=StoredObject.State.DOOMED).delete()


def _doom(candidates: StoredObjectQuerySet, now: dt.datetime) -> list[StoredObject]:
    """Mark those candidates that are due to go, under their locks, and return them.

    Locked first and checked by a second statement: one statement would check the pointers of the
    moment before it waited for the lock. Attaching takes the same lock.
    """
    with transaction.atomic():
        locked = [row.pk for row in candidates.select_for_update(skip_locked=True)]
        due = list(StoredObject.objects.due_to_go(now).filter(pk__in=locked))
        StoredObject.objects.filter(pk__in=[row.pk for row in due]).update(
            state=StoredObject.State.DOOMED
        )
    return due
