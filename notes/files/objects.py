"""The life of stored objects: announce, store, make ready, mark deleted, delete.

The row of an object is committed before its bytes are stored, and is deleted after them, so each
object in the storage has a row. The states (column ``state``)::

    PENDING   the row is committed; the bytes are on their way
      |  :func:`make_ready`, in the transaction that makes something point at the object
      v
    READY     the object counts: an attachment, revision, upload, thumbnail or avatar points at it
      |  :func:`_mark_deleted`: lock the row, check that nothing points at it, set the state
      v
    DOOMED    marked deleted; :func:`_delete` deletes the bytes and then the row
      v
    gone

A PENDING object is marked deleted too when its upload is aborted or it is too old;
:func:`discard` deletes one at once. Every step can be repeated: a process may die between two
steps, and :func:`sweep` (the sweeper, a worker's job) does the rest.

``notes.files.reconciling`` marks a READY object whose bytes are lost or wrong as damaged
(``damaged_at``). :func:`_repair` repairs it when the same bytes are uploaded again.

Other apps store pictures through ``notes.actions.file_service`` and use keys only.
"""

import contextlib
import datetime as dt
import hashlib
import io
import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q
from django.utils import timezone

from cloudnotes.api.errors import DomainError
from notes.files import filetypes, imaging, quotas, storage
from notes.files.models import STUCK_AFTER, StoredObject, StoredObjectQuerySet, Thumbnail

BATCH = 200
TIMEOUT_SECONDS = 3.0
# Enough for the width and height of an image, which come after the camera's metadata.
START_BYTES = 256 * 2**10
END_BYTES = 64 * 2**10
# Between attempts to delete an object; after so many failures in a row a sweep ends.
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(minutes=1), dt.timedelta(days=1)
FAILURES_IN_A_ROW, MOST_FAILURES = 3, 1000
DESCRIBED = ("size", "sha256", "content_type", "width", "height", "upload_id", "is_arriving")

logger = logging.getLogger(__name__)


class UploadTooSlow(DomainError):
    """The upload took so long that the sweeper has deleted its object."""

    status = 503
    code = "upload_too_slow"
    detail = "The upload took too long and was given up. Please try again."


class FileTooLarge(DomainError):
    """The file is above ``MAX_FILE_BYTES``."""

    status = 413
    code = "file_too_large"
    field = "file"

    def __init__(self, most: int | None = None) -> None:
        most = settings.MAX_FILE_BYTES if most is None else most
        super().__init__(f"A file has at most {most} bytes here. Send a smaller one.")


class Receiver:
    """Stores an object while its bytes arrive, and finds out its type and size.

    Use it outside of transactions, because the row is committed before the bytes are sent. The
    object counts when :func:`make_ready` is committed together with what points at it. A caller
    that does not get there calls :meth:`give_up`. All methods raise
    :class:`notes.files.storage.StorageUnavailable`.
    """

    def __init__(self) -> None:
        self.row = StoredObject.objects.create(key=storage.new_key(), size=0)
        self.digest, self.size, self.start, self.end = hashlib.sha256(), 0, io.BytesIO(), b""
        try:
            self.writer = storage.open_writer(self.row.key, on_parts=self._save_upload_id)
        except storage.StorageUnavailable:
            self._forget()
            raise

    def write(self, chunk: bytes) -> None:
        """Store the next bytes. Raises :class:`FileTooLarge`."""
        self.size += len(chunk)
        if self.size > settings.MAX_FILE_BYTES:
            raise FileTooLarge
        self.digest.update(chunk)
        if (room := START_BYTES - self.start.tell()) > 0:
            self.start.write(chunk[:room])
        self.end = (self.end + chunk[-END_BYTES:])[-END_BYTES:]
        self.writer.write(chunk)

    def finish(self) -> StoredObject:
        """Wait until the storage has all bytes; return the row with size, checksum and type set."""
        self.writer.finish()
        describe(self.row, self.start.getvalue(), self.end)
        self.row.size, self.row.sha256 = self.size, self.digest.hexdigest()
        self.row.upload_id = ""
        return self.row

    def give_up(self) -> None:
        """Delete what was stored. If the storage fails, the sweeper does it later."""
        try:
            self.writer.abort()
            if self.row.upload_id:
                storage.abort_parts(self.row.key, self.row.upload_id)
            discard(self.row.key)
        except storage.StorageUnavailable:
            logger.warning("An upload that failed is left to the sweeper.")

    def _save_upload_id(self, upload_id: str) -> None:
        self.row.upload_id = upload_id
        self.row.save(update_fields=["upload_id"])

    def _forget(self) -> None:
        StoredObject.objects.filter(pk=self.row.pk, state=StoredObject.State.PENDING).delete()


@contextlib.contextmanager
def discarded_if_refused(row: StoredObject) -> Iterator[StoredObject]:
    """Delete a stored object and its row if the block raises a :class:`DomainError`."""
    try:
        yield row
    except DomainError:
        discard(row.key)
        raise


def describe(row: StoredObject, start: bytes, end: bytes) -> None:
    """Set type, width and height of an object from its first and last bytes; saves nothing."""
    row.content_type = filetypes.content_type_of(start)
    if row.content_type in filetypes.IMAGE_TYPES:
        row.width, row.height = imaging.dimensions(start, end) or (None, None)


def store(*, content: IO[bytes], content_type: str) -> str:
    """Store a small picture that the service made; return its key. It counts in no quota.

    Call it outside of transactions, as :class:`Receiver`. Raises
    :class:`notes.files.storage.StorageUnavailable`.
    """
    content.seek(0)
    data = content.read()
    row = StoredObject.objects.create(
        key=storage.new_key(),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_type=content_type,
    )
    writer = storage.open_writer(row.key, on_parts=lambda _: None)
    writer.write(data)
    writer.finish()
    return row.key


def make_ready(*, key: str) -> StoredObject:
    """Make a pending object ready, in the transaction that points at it, and return its row.

    Raises :class:`UploadTooSlow`.
    """
    row = (
        StoredObject.objects.select_for_update(no_key=True)
        .filter(key=key, state=StoredObject.State.PENDING)
        .first()
    )
    if row is None:
        raise UploadTooSlow
    row.state = StoredObject.State.READY
    row.save(update_fields=["state"])
    return row


def make_owned(row: StoredObject, *, owner_id: int, now: dt.datetime) -> StoredObject:
    """Make an object ready for its owner; return it, or the owner's object with the same bytes.

    In the second case the new object is deleted after the commit; if the old one is damaged, the
    new bytes repair it instead. Call this in the transaction that attaches the object, with the
    note locked and the row described. Raises :class:`UploadTooSlow` and
    :class:`notes.files.quotas.QuotaExceeded`.
    """
    quotas.lock(owner_id)
    same = StoredObject.objects.filter(
        owner=owner_id, sha256=row.sha256, size=row.size, state=StoredObject.State.READY
    )
    # Under its lock: the sweeper skips an attached object, or has marked it deleted already. NO
    # KEY: foreign keys of snapshots look at the object when their writers hold the feed already.
    if owned := same.select_for_update(no_key=True).first():
        transaction.on_commit(lambda: _discard_or_repair(row, owned, now))
        return owned
    quotas.check(owner_id, row)
    make_ready(key=row.key)
    row.state, row.owner_id = StoredObject.State.READY, owner_id
    row.thumbnails_due_at = now if row.width else None
    row.save(update_fields=[*DESCRIBED, "state", "owner", "thumbnails_due_at"])
    return row


def _discard_or_repair(row: StoredObject, owned: StoredObject, now: dt.datetime) -> None:
    """Delete the new object ``row``, or repair ``owned`` with it if ``owned`` is damaged."""
    try:
        head = storage.head(owned.key)
        is_whole = owned.damaged_at is None and head is not None and head.size == owned.size
        discard(row.key if is_whole else _repair(owned, row, now))
    except (storage.StorageUnavailable, Error):
        logger.warning("An object that came twice is left to the sweeper.", exc_info=True)


def _repair(damaged: StoredObject, row: StoredObject, now: dt.datetime) -> str:
    """Repair a damaged object with the same bytes in ``row``; return the key that is to be deleted.

    The two rows exchange their keys. So everything that points at the damaged object has the bytes
    again, and the object to be deleted has a row until it is deleted.
    """
    with transaction.atomic():
        ready = StoredObject.objects.filter(
            pk=damaged.pk, key=damaged.key, state=StoredObject.State.READY
        )
        pending = StoredObject.objects.filter(pk=row.pk, state=StoredObject.State.PENDING)
        locked = [query.select_for_update().first() for query in (ready, pending)]
        if None in locked:
            return row.key  # another process was faster
        has_thumbnails = Thumbnail.objects.filter(source=damaged).exists()
        pending.update(key=storage.new_key(), upload_id="", is_arriving=False)
        ready.update(
            key=row.key,
            damaged_at=None,
            thumbnails_due_at=now if damaged.width and not has_thumbnails else None,
            thumbnails_failed=None,
        )
        pending.update(key=damaged.key)
    logger.warning("Object %d is mended by the same bytes again.", damaged.pk)
    return damaged.key


def read(*, key: str) -> bytes | None:
    """Return all bytes of a small object, None if there is no object under ``key``.

    Raises :class:`notes.files.storage.StorageUnavailable`.
    """
    return storage.read(key)


def delete_after_commit(*conditions: Q, **criteria: Any) -> None:
    """Delete the objects that match now, after the commit, if nothing points at them then.

    Pending objects that match are marked deleted at once. ``conditions`` and ``criteria`` are
    filters of stored objects. Call it before the rows that point at the objects are deleted, and
    once per transaction, because the client waits for each call. :func:`sweep` deletes what fails
    here.
    """
    ids = list(StoredObject.objects.filter(*conditions, **criteria).values_list("pk", flat=True))
    pending = StoredObject.objects.filter(pk__in=ids, state=StoredObject.State.PENDING)
    pending.update(state=StoredObject.State.DOOMED)
    if ids:
        transaction.on_commit(lambda: _delete_now(ids))


def _delete_now(ids: Sequence[int]) -> None:
    """Delete objects for at most about ``TIMEOUT_SECONDS``, because a client waits."""
    deadline, now = time.monotonic() + TIMEOUT_SECONDS, timezone.now()
    try:
        for row in _mark_deleted(StoredObject.objects.filter(pk__in=ids), now):
            if time.monotonic() > deadline:
                logger.warning("Deleting objects takes long; the rest is left to the sweeper.")
                return
            _delete(row, now)
    except (storage.StorageUnavailable, Error):
        # The request itself has succeeded; the rows tell the sweeper what to delete.
        logger.warning("Objects could not be deleted and are left to the sweeper.", exc_info=True)


def discard(*keys: str) -> None:
    """Delete stored objects that are not needed after all, and their rows.

    Objects are deleted by their keys, because the sweeper may have deleted the rows already while
    the bytes were still on their way.
    """
    try:
        for key in keys:
            storage.delete(key)
            StoredObject.objects.unused().filter(key=key).delete()
    except storage.StorageUnavailable:
        logger.warning("An object could not be deleted and is left to the sweeper.")


def sweep(*, now: dt.datetime, patience: float = math.inf) -> int:
    """Delete all objects that are due and return how many were deleted.

    Stops after about ``patience`` seconds; the next call does the rest. An object that cannot be
    deleted waits, longer each time, and keeps no other one from being deleted. Raises
    :class:`notes.files.storage.StorageUnavailable` if none could be deleted, or several in a row
    could not; objects deleted until then stay deleted.
    """
    total, deadline = 0, time.monotonic() + patience
    failed: list[int] = []
    in_a_row = 0
    while True:
        due = StoredObject.objects.due_to_go(now).exclude(pk__in=failed)
        ids = list(due.values_list("pk", flat=True)[:BATCH])
        marked = _mark_deleted(StoredObject.objects.filter(pk__in=ids), now)
        for row in marked:
            if time.monotonic() > deadline:
                return total
            try:
                total += _delete(row, now)
                in_a_row = 0
            except storage.StorageUnavailable:
                _postpone(row, now)
                failed.append(row.pk)
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    raise
        if not marked:
            break
    if failed and not total:
        raise storage.StorageUnavailable
    return total


def _postpone(row: StoredObject, now: dt.datetime) -> None:
    """Set when to try again: the first time with the next sweep, as the storage may be away."""
    times = min((row.deletion_failed or 0) + 1, MOST_FAILURES)
    wait = min(FIRST_WAIT * (2 ** min(times - 1, 20) - 1), LONGEST_WAIT)
    StoredObject.objects.filter(pk=row.pk).update(deletion_failed=times, deletion_due_at=now + wait)
    if times >= STUCK_AFTER:
        logger.error("The object %s could not be deleted, %s times now.", row.key, times)


def get_health() -> str:
    """Return ``ok``, or how many objects could not be deleted several times."""
    stuck = StoredObject.objects.stuck().count()
    return f"{stuck} not deleted" if stuck else "ok"


def sweep_due() -> None:
    """Delete the objects that are due; a worker's job. Retries later if the storage fails."""
    try:
        sweep(now=timezone.now())
    except storage.StorageUnavailable:
        logger.warning("The storage does not answer; objects wait for the next sweep.")


def _delete(marked: StoredObject, now: dt.datetime) -> int:
    """Delete an object that is marked deleted, its row and its thumbnails; return how many."""
    if marked.upload_id:
        storage.abort_parts(marked.key, marked.upload_id)
    if marked.is_arriving:
        storage.delete(storage.arriving(marked.key))
    storage.delete(marked.key)
    ids = list(Thumbnail.objects.filter(source=marked).values_list("object", flat=True))
    StoredObject.objects.filter(pk=marked.pk, state=StoredObject.State.DOOMED).delete()
    thumbnails = _mark_deleted(StoredObject.objects.filter(pk__in=ids), now) if ids else []
    return 1 + sum(_delete(each, now) for each in thumbnails)


def _mark_deleted(candidates: StoredObjectQuerySet, now: dt.datetime) -> list[StoredObject]:
    """Mark the candidates that are due as deleted, under their locks, and return them.

    One statement locks and a second one checks. A single statement would check the references as
    they were before it waited for the lock. Attaching an object takes the same lock.
    """
    with transaction.atomic():
        locked = [row.pk for row in candidates.select_for_update(skip_locked=True)]
        due = list(StoredObject.objects.due_to_go(now).filter(pk__in=locked))
        StoredObject.objects.filter(pk__in=[row.pk for row in due]).update(
            state=StoredObject.State.DOOMED
        )
    return due
