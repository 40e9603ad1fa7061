"""Stored objects: in before something points at them, out after the commit that let go of them.

In: the row that announces the object, the object, and then, in the transaction of whatever points
at it, the object counts. Out: lock, check, doom; then delete the object; then its row. Every step
can be repeated, so a process may die between any two and the sweeper does the rest.

``accounts`` stores pictures through this module (setting ``OBJECT_STORE``) and knows objects by
their keys alone.
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
from notes import quotas
from notes.files import filetypes, imaging, storage
from notes.models import Attachment, KeptFile, Note, StoredObject, Thumbnail, Upload
from notes.models.objects import StoredObjectQuerySet

BATCH = 200
TIMEOUT_SECONDS = 3.0
# The size of an image stands in front, behind what a camera tells of itself.
START_BYTES = 256 * 2**10
DESCRIBED = ("size", "sha256", "content_type", "width", "height", "upload_id", "is_arriving")

logger = logging.getLogger(__name__)


class UploadTooSlow(DomainError):
    """The upload took so long that the sweeper has given it up."""

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
    """Stores an object while its bytes come, and finds out what they are.

    To be used outside of transactions: the row is committed before the object is on its way. The
    object counts once :func:`make_ready` is committed together with what points at it; whoever
    does not get so far calls :meth:`give_up`. All methods raise
    :class:`notes.files.storage.StorageUnavailable`.
    """

    def __init__(self) -> None:
        self.row = StoredObject.objects.create(key=storage.new_key(), size=0)
        self.digest, self.size, self.start = hashlib.sha256(), 0, io.BytesIO()
        try:
            self.writer = storage.open_writer(self.row.key, on_parts=self._save_upload_id)
        except storage.StorageUnavailable:
            self._forget()
            raise

    def write(self, chunk: bytes) -> None:
        """Take some more bytes. Raises :class:`FileTooLarge`."""
        self.size += len(chunk)
        if self.size > settings.MAX_FILE_BYTES:
            raise FileTooLarge
        self.digest.update(chunk)
        if (room := START_BYTES - self.start.tell()) > 0:
            self.start.write(chunk[:room])
        self.writer.write(chunk)

    def finish(self) -> StoredObject:
        """Wait until the storage has all of it, and return the row, which says what it is."""
        self.writer.finish()
        describe(self.row, self.start.getvalue())
        self.row.size, self.row.sha256 = self.size, self.digest.hexdigest()
        self.row.upload_id = ""
        return self.row

    def give_up(self) -> None:
        """Delete what came, unless the storage is what failed: then the sweeper will."""
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
    """Delete an object that came, and its row, if what it came for is refused."""
    try:
        yield row
    except DomainError:
        discard(row.key)
        raise


def describe(row: StoredObject, start: bytes) -> None:
    """Say in a row, not saved, what an object is by its first bytes."""
    row.content_type = filetypes.content_type_of(start)
    if row.content_type in filetypes.IMAGE_TYPES:
        row.width, row.height = imaging.dimensions(start) or (None, None)


def store(*, content: IO[bytes], content_type: str) -> str:
    """Store a small picture of ours and return its key; it counts in nobody's quota.

    To be called outside of transactions, as :class:`Receiver`. Raises
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
    """Let an object count, in the transaction that points something at it, and return its row.

    Raises :class:`UploadTooSlow`.
    """
    row = (
        StoredObject.objects.select_for_update()
        .filter(key=key, state=StoredObject.State.PENDING)
        .first()
    )
    if row is None:
        raise UploadTooSlow
    row.state = StoredObject.State.READY
    row.save(update_fields=["state"])
    return row


def make_owned(row: StoredObject, *, owner_id: int, now: dt.datetime) -> StoredObject:
    """Let a described object count for its owner, and return it, or the one with the same bytes.

    Then what came is not needed, and goes after the commit, unless that one is damaged and so
    mended by it. In the transaction that attaches it, with the note locked. Raises
    :class:`UploadTooSlow` and :class:`notes.quotas.QuotaExceeded`.
    """
    quotas.lock(owner_id)
    same = StoredObject.objects.filter(
        owner=owner_id, sha256=row.sha256, size=row.size, state=StoredObject.State.READY
    )
    # With its lock: the sweeper lets go of what is attached, or has marked it deleted already.
    if owned := same.select_for_update().first():
        transaction.on_commit(lambda: _discard_or_repair(row, owned, now))
        return owned
    quotas.check(owner_id, row)
    make_ready(key=row.key)
    row.state, row.owner_id = StoredObject.State.READY, owner_id
    row.thumbnails_due_at = now if row.width else None
    row.save(update_fields=[*DESCRIBED, "state", "owner", "thumbnails_due_at"])
    return row


def _discard_or_repair(row: StoredObject, owned: StoredObject, now: dt.datetime) -> None:
    """Delete bytes that are there already, in ``kept``, unless those are damaged."""
    try:
        head = storage.head(owned.key)
        is_whole = owned.damaged_at is None and head is not None and head.size == owned.size
        discard(row.key if is_whole else _repair(owned, row, now))
    except (storage.StorageUnavailable, Error):
        logger.warning("An object that came twice is left to the sweeper.", exc_info=True)


def _repair(damaged: StoredObject, row: StoredObject, now: dt.datetime) -> str:
    """Give a damaged object the bytes that came again; return the key of what is not needed.

    The rows exchange their keys, so whatever the object was attached to has it again, and what is
    to go has a row until it is gone.
    """
    with transaction.atomic():
        ready = StoredObject.objects.filter(
            pk=damaged.pk, key=damaged.key, state=StoredObject.State.READY
        )
        pending = StoredObject.objects.filter(pk=row.pk, state=StoredObject.State.PENDING)
        locked = [query.select_for_update().first() for query in (ready, pending)]
        if None in locked:
            return row.key  # somebody was faster
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
    """Return a whole object, None when there is none under ``key``. For small ones.

    Raises :class:`notes.files.storage.StorageUnavailable`.
    """
    return storage.read(key)


def of_notes(notes: Q) -> Q:
    """Return the condition that an object is one of some notes: attached, in history, to come."""
    note_ids = Note.objects.filter(notes).values("pk")
    return (
        Q(pk__in=Attachment.objects.filter(note__in=note_ids).values("object"))
        | Q(pk__in=KeptFile.objects.filter(revision__note__in=note_ids).values("object"))
        | Q(pk__in=Upload.objects.filter(note__in=note_ids, object__isnull=False).values("object"))
    )


def delete_after_commit(*conditions: Q, **criteria: Any) -> None:
    """Once the running transaction is committed, delete the objects that match now.

    Unless something points at them then; what was announced and is not there is given up.
    ``conditions`` and ``criteria`` are filters of stored objects. To be called before the rows that
    point at the objects go, and once a transaction: each call may keep somebody waiting. What fails
    here is left to :func:`sweep`.
    """
    ids = list(StoredObject.objects.filter(*conditions, **criteria).values_list("pk", flat=True))
    pending = StoredObject.objects.filter(pk__in=ids, state=StoredObject.State.PENDING)
    pending.update(state=StoredObject.State.DOOMED)
    if ids:
        transaction.on_commit(lambda: _delete_now(ids))


def _delete_now(ids: Sequence[int]) -> None:
    """Delete for at most about ``TIMEOUT_SECONDS``: somebody waits for the answer."""
    deadline, now = time.monotonic() + TIMEOUT_SECONDS, timezone.now()
    try:
        for row in _mark_deleted(StoredObject.objects.filter(pk__in=ids), now):
            if time.monotonic() > deadline:
                logger.warning("Deleting objects takes long; the rest is left to the sweeper.")
                return
            _delete(row, now)
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
    :class:`notes.files.storage.StorageUnavailable`; what was done until then stays done.
    """
    total, deadline = 0, time.monotonic() + patience
    while True:
        ids = list(StoredObject.objects.due_to_go(now).values_list("pk", flat=True)[:BATCH])
        marked = _mark_deleted(StoredObject.objects.filter(pk__in=ids), now)
        for row in marked:
            if time.monotonic() > deadline:
                return total
            total += _delete(row, now)
        if not marked:
            return total


def sweep_due() -> None:
    """Delete what is due to go; a worker's job. What the storage does not delete waits."""
    try:
        sweep(now=timezone.now())
    except storage.StorageUnavailable:
        logger.warning("The storage does not answer; objects wait for the next sweep.")


def _delete(marked: StoredObject, now: dt.datetime) -> int:
    """Delete an object, its row and the thumbnails that showed it; return how many went."""
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
