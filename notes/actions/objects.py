"""Deleting stored objects: after the commit that let go of them, or by the sweeper after a crash.

Lock, check, doom; then delete the object; then its row. Every step can be repeated, so a process
may die between any two.
"""

import datetime as dt
import logging
import math
import time
from typing import Any

from django.db import Error, transaction
from django.utils import timezone

from notes import storage
from notes.models import StoredObject
from notes.models.objects import StoredObjectQuerySet

BATCH = 200
PATIENCE_SECONDS = 5.0

logger = logging.getLogger(__name__)


def delete_after_commit(**criteria: Any) -> None:
    """Once the running transaction is committed, delete the objects that match now.

    ``criteria`` are filters of stored objects such as ``attachments__note=note``. To be called
    before the rows that point at the objects go. What fails here is left to :func:`sweep`.
    """
    ids = list(StoredObject.objects.filter(**criteria).values_list("pk", flat=True))
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


def discard(announced: StoredObject) -> None:
    """Delete an object that was stored for a note that would not have it.

    The sweeper may have taken the row already while the object was still on its way: the object
    goes by its key.
    """
    try:
        storage.delete(announced.key)
        StoredObject.objects.filter(pk=announced.pk, attachments=None).delete()
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
