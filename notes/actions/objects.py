"""Deleting stored objects: after the commit that let go of them, or by the sweeper after a crash.

Lock, check, doom; then delete the object; then its row. Every step can be repeated, so a process
may die between any two.
"""

import datetime as dt
import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from notes import storage
from notes.models import StoredObject

BATCH = 200

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
    try:
        for start in range(0, len(ids), BATCH):
            _delete(StoredObject.objects.filter(pk__in=ids[start : start + BATCH]), timezone.now())
    except (storage.StorageUnavailable, DatabaseError):
        # The request has done what it was asked to; the rows keep the order for the sweeper.
        logger.warning("Objects could not be deleted and are left to the sweeper.", exc_info=True)


def sweep(*, now: dt.datetime) -> int:
    """Delete every object that is due to go and return how many went.

    Raises :class:`notes.storage.StorageUnavailable`; what was done until then stays done.
    """
    total = 0
    while True:
        ids = list(StoredObject.objects.due_to_go(now).values_list("pk", flat=True)[:BATCH])
        gone = _delete(StoredObject.objects.filter(pk__in=ids), now)
        total += gone
        if not gone:
            return total


def _delete(candidates: Any, now: dt.datetime) -> int:
    for row in (doomed := _doom(candidates, now)):
        storage.delete(row.key)
        StoredObject.objects.filter(pk=row.pk, state=StoredObject.State.DOOMED).delete()
    return len(doomed)


def _doom(candidates: Any, now: dt.datetime) -> list[StoredObject]:
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
