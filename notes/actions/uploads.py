"""Uploads that clients send directly to the storage: announce, send, complete, verify, attach.

The states (column ``state``)::

    OPEN        announced by :func:`begin`; the client sends the bytes to signed links
      |  :func:`complete`: a file of at most 32 MiB, or with a checksum of the storage, is verified
      |      at once and becomes DONE or FAILED; a larger one becomes VERIFYING
      v
    VERIFYING   :func:`verify_due`, a worker's job, reads the file and compares its checksum
      v
    DONE        the file is attached to the note
    FAILED      other bytes than announced, or the note does not take the file

:func:`abort` deletes an upload that is not DONE. :func:`forget_due` deletes expired uploads: 24
hours after they began, and 30 days later if they are VERIFYING.

The client's word about its file is not trusted: the size is measured, and the bytes are read
unless the storage has compared the checksum itself. A client writes to a separate key
(``notes.files.storage.arriving``), or in parts that become an object only when they are assembled.
So a link that is still valid after the upload cannot replace a file that was verified.
"""

import datetime as dt
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.callers import Caller
from cloudnotes.api.errors import DomainError
from notes.actions import attachments
from notes.actions.versions import NoteGone, lock
from notes.files import filetypes, objects, quotas, storage
from notes.files.models import UPLOAD_LASTS
from notes.models import Note, StoredObject, Upload
from notes.models.attachments import MAX_FILES, File, split

# Larger uploads are sent in parts of this size, if the storage takes parts.
PART_BYTES = 16 * 2**20
MAX_PARTS = 10_000
# At most this many links to parts are returned at once.
PARTS_SHOWN = 100
# Larger files are read by the worker.
VERIFY_BATCH_SIZE = 32 * 2**20
# One process completes or reads an upload at a time; if it dies, the next one waits this long.
COMPLETED_WITHIN, READ_WITHIN = dt.timedelta(minutes=1), dt.timedelta(minutes=15)
# An upload that cannot be verified is deleted this long after it has expired.
VERIFIED_WITHIN = dt.timedelta(days=30)
NOT_OVER = (Upload.State.OPEN, Upload.State.VERIFYING)

logger = logging.getLogger(__name__)


class UploadIncomplete(DomainError):
    """The file or parts of it are missing, or do not have the announced length."""

    status = 409
    code = "upload_incomplete"
    detail = "The file is not there yet, or not as long as announced. Send what is missing."


class ChecksumMismatch(DomainError):
    """The bytes are not the announced ones."""

    status = 422
    code = "checksum_mismatch"
    detail = "The file is not the one that was announced. Begin a new upload."


class UploadOver(DomainError):
    """The upload was aborted, has failed or has expired."""

    status = 409
    code = "upload_over"
    detail = "This upload is over, and has not become a file. Begin a new one."


class UploadBusy(DomainError):
    """Another request is completing the upload."""

    status = 409
    code = "request_in_progress"
    detail = "Another request is completing this upload. Try again in a second."
    wait = 1


@dataclass(frozen=True)
class Part:
    """A part that is still missing: which bytes to PUT to which address."""

    number: int
    start: int
    size: int
    url: str


def begin(*, note: Note, name: str, size: int, sha256: str, by: Caller, now: dt.datetime) -> Upload:
    """Announce a file and return its upload, which counts in the quota of the note's owner.

    ``size`` is in bytes, ``sha256`` in hex. Raises :class:`notes.files.quotas.QuotaExceeded`,
    :class:`notes.actions.attachments.TooManyFiles` and :class:`notes.actions.versions.NoteGone`.
    """
    with transaction.atomic():
        note = lock(note)
        if len(split(note.files)) >= MAX_FILES:
            raise attachments.TooManyFiles
        quotas.lock(note.owner_id)
        row = StoredObject(
            key=storage.new_key(),
            size=size,
            sha256=sha256,
            owner_id=note.owner_id,
            is_arriving=True,
        )
        damaged = StoredObject.objects.filter(owner=note.owner_id, damaged_at__isnull=False)
        if not damaged.filter(sha256=sha256, size=size, state=StoredObject.State.READY).exists():
            quotas.check(note.owner_id, row)  # else it repairs an object that counts already
        row.save()
        return Upload.objects.create(
            note=note,
            object=row,
            by=by.user,
            credential=by.credential,
            name=filetypes.clean_name(name),
            size=size,
            sha256=sha256,
            created_at=now,
            expires_at=now + UPLOAD_LASTS,
        )


def is_in_parts(upload: Upload) -> bool:
    """Return whether an upload is sent in parts."""
    return upload.size > PART_BYTES and storage.takes_parts()


def links(upload: Upload) -> tuple[str, dict[str, str]] | list[Part]:
    """Return where to send an open upload: an address with headers, or the missing parts.

    Returns at most ``PARTS_SHOWN`` parts; ask again when some of them are stored. Raises
    :class:`UploadOver` and :class:`notes.files.storage.StorageUnavailable`.
    """
    row = _open_object(upload)
    if not is_in_parts(upload):
        return storage.upload_link(row.key, size=upload.size, sha256=upload.sha256)
    stored_parts = storage.parts(row.key, _parts_id(row))
    if stored_parts is None:
        if storage.head(row.key) is not None:
            return []  # the parts are assembled already; the client has to complete the upload
        # The storage has dropped the upload in parts, or it is another storage now.
        StoredObject.objects.filter(pk=row.pk).update(upload_id="")
        row.upload_id = ""
        stored_parts = storage.parts(row.key, _parts_id(row)) or {}
    missing = [
        (number, start, size)
        for number, start, size in parts_of(upload)
        if stored_parts.get(number, (0, ""))[0] != size
    ]
    return [
        Part(number, start, size, storage.part_link(row.key, row.upload_id, number, size=size))
        for number, start, size in missing[:PARTS_SHOWN]
    ]


def parts_of(upload: Upload) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and size of the parts of an upload; start and size in bytes."""
    size = max(PART_BYTES, -(-upload.size // MAX_PARTS))
    for number, start in enumerate(range(0, upload.size, size), start=1):
        yield number, start, min(size, upload.size - start)


def complete(*, upload: Upload, by: Caller, now: dt.datetime) -> Upload:
    """Verify the stored file and attach it; return the upload, which is DONE or VERIFYING.

    Call it outside of transactions. It is idempotent. Raises
    :class:`UploadBusy`, :class:`UploadIncomplete`, :class:`ChecksumMismatch`, :class:`UploadOver`,
    :class:`notes.files.storage.StorageUnavailable` and as
    :func:`notes.actions.attachments.add_file`.
    """
    if upload.state in (Upload.State.DONE, Upload.State.VERIFYING):
        return upload
    row = _open_object(upload)
    claimable = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN)
    unclaimed = claimable.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))
    until = now + COMPLETED_WITHIN
    if not unclaimed.update(claimed_until=until):
        upload = _reload(upload)
        if upload.state == Upload.State.OPEN:
            raise UploadBusy
        return upload
    try:
        _assemble(upload, row)
        head = storage.head(row.key)
        if head is None or head.size != upload.size:
            raise UploadIncomplete
        if not head.is_plain:
            _fail(upload)
            raise ChecksumMismatch
        if head.sha256 is not None or upload.size <= VERIFY_BATCH_SIZE:
            return _verify(upload, row, by=by, now=now)
        claimable.update(state=Upload.State.VERIFYING, claimed_until=None)
    finally:
        claimable.filter(claimed_until=until).update(claimed_until=None)
    return _reload(upload)


def abort(*, upload: Upload) -> None:
    """Delete an upload and its object. One that is DONE is left alone, and so is its file."""
    with transaction.atomic():
        locked = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None or locked.state == Upload.State.DONE:
            return
        _release_objects([locked.pk])
        locked.delete()


def verify_due() -> bool:
    """Read and verify one upload that was completed by its client; a worker's job.

    Returns whether there may be more.
    """
    now = timezone.now()
    due = Upload.objects.filter(state=Upload.State.VERIFYING, note__trashed_at=None)
    unclaimed = due.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))
    upload = unclaimed.select_related("object", "note", "by").order_by("created_at").first()
    if upload is None:
        return False
    claimed = unclaimed.filter(pk=upload.pk).update(claimed_until=now + READ_WITHIN)
    if claimed and upload.object is not None:
        by = Caller(upload.by, credential=upload.credential)
        try:
            _verify(upload, upload.object, by=by, now=now)
        except storage.StorageUnavailable:
            same = Upload.objects.filter(pk=upload.pk, state=Upload.State.VERIFYING)
            same.update(claimed_until=None)
            return False
        except DomainError as refusal:
            logger.info("upload refused: %s", refusal.code)
    return True


def forget_due() -> bool:
    """Delete expired uploads; a worker's job. Returns whether there may be more."""
    now = timezone.now()
    # A VERIFYING upload may have to wait for the storage, or for its note to leave the trash.
    waiting = Q(state=Upload.State.VERIFYING, expires_at__gt=now - VERIFIED_WITHIN)
    expired = Upload.objects.filter(expires_at__lt=now).exclude(waiting)
    ids = list(expired.order_by("expires_at").values_list("pk", flat=True)[: objects.BATCH])
    with transaction.atomic():
        locked = _lock(expired.filter(pk__in=ids))
        _release_objects(locked)
        expired.filter(pk__in=locked).delete()
    return len(ids) == objects.BATCH


def _release_objects(ids: list[int]) -> None:
    """Mark the pending objects of uploads as deleted and delete them after the commit."""
    objects.delete_after_commit(upload__in=ids, state=StoredObject.State.PENDING)


def _fail(upload: Upload) -> None:
    """Set an upload that cannot become a file to FAILED, unless it has just ended otherwise."""
    with transaction.atomic():
        ids = _lock(Upload.objects.filter(pk=upload.pk, state__in=NOT_OVER))
        _release_objects(ids)
        Upload.objects.filter(pk__in=ids).update(state=Upload.State.FAILED, object=None)


def _lock(uploads: QuerySet[Upload]) -> list[int]:
    """Lock uploads and return their ids; uploads are always locked before their objects."""
    return list(uploads.select_for_update().order_by("pk").values_list("pk", flat=True))


def _reload(upload: Upload) -> Upload:
    """Return an upload as it is now. Raises :class:`UploadOver` if it has failed or is deleted."""
    current = Upload.objects.select_related("object", "note").filter(pk=upload.pk).first()
    if current is None or current.state == Upload.State.FAILED:
        raise UploadOver
    return current


def _open_object(upload: Upload) -> StoredObject:
    if upload.state == Upload.State.FAILED or upload.expires_at < timezone.now():
        raise UploadOver
    if upload.object is None:
        raise UploadOver
    return upload.object


def _parts_id(row: StoredObject) -> str:
    """Return the storage's id of the upload in parts; begins one if there is none."""
    if not row.upload_id:
        upload_id = storage.begin_parts(row.key)
        if StoredObject.objects.filter(pk=row.pk, upload_id="").update(upload_id=upload_id):
            row.upload_id = upload_id
        else:  # another request began one at the same time
            storage.abort_parts(row.key, upload_id)
            row.refresh_from_db(fields=["upload_id"])
    return row.upload_id


def _assemble(upload: Upload, row: StoredObject) -> None:
    """Copy or assemble what the client has sent to the object's own key."""
    if not is_in_parts(upload):
        arrived = storage.head(storage.arriving(row.key))
        if arrived is not None and arrived.size == upload.size:
            storage.copy(storage.arriving(row.key), row.key)
        return
    stored_parts = storage.parts(row.key, row.upload_id) if row.upload_id else {}
    if stored_parts is None:
        return  # it was assembled before and the response was lost; the caller checks the object
    expected_sizes = {number: size for number, _, size in parts_of(upload)}
    if {number: size for number, (size, _) in stored_parts.items()} != expected_sizes:
        raise UploadIncomplete
    storage.finish_parts(row.key, row.upload_id, stored_parts)


def _verify(upload: Upload, row: StoredObject, *, by: Caller, now: dt.datetime) -> Upload:
    """Attach an object if its checksum is the announced one; else set the upload to FAILED."""
    head = storage.head(row.key)
    sha256, start, end = head.sha256 if head else None, b"", b""
    if sha256 is None:
        sha256, start, end = _read_through(row.key)
    else:
        start = storage.read(row.key, 0, min(upload.size, objects.START_BYTES)) or b""
        first = max(0, upload.size - objects.END_BYTES)
        end = start[first:] if len(start) == upload.size else b""
        if not end and filetypes.content_type_of(start) in filetypes.IMAGE_TYPES:
            end = storage.read(row.key, first, upload.size) or b""
    if sha256 != upload.sha256:
        _fail(upload)
        raise ChecksumMismatch
    objects.describe(row, start, end)
    arrived, is_arriving = storage.arriving(row.key), row.is_arriving
    row.is_arriving, row.upload_id = False, ""
    try:
        file = _attach(upload, row, by=by, now=now)
    except NoteGone:
        raise  # the upload stays: the note may be restored from the trash
    except DomainError:
        _fail(upload)
        raise
    if file is not None and is_arriving:
        _delete_quietly(arrived)
    return _reload(upload)


def _attach(upload: Upload, row: StoredObject, *, by: Caller, now: dt.datetime) -> File | None:
    """Attach the object to the note and return the file; None if another process has done so."""
    with transaction.atomic():
        lock(upload.note)
        locked = Upload.objects.select_for_update().filter(pk=upload.pk)
        is_open = locked.filter(state__in=NOT_OVER).exists()
        if not is_open:
            return None
        _, file = attachments.add_file(
            note=upload.note, name=upload.name, stored=row, by=by, now=now
        )
        locked.update(
            state=Upload.State.DONE,
            object=None,
            attachment_id=file.id,
            expires_at=F("created_at") + UPLOAD_LASTS,
        )
    return file


def _read_through(key: str) -> tuple[str, bytes, bytes]:
    """Return the checksum of an object, its first and its last bytes.

    Raises :class:`UploadIncomplete`.
    """
    digest, start, end = hashlib.sha256(), b"", b""
    pieces = storage.stream(key)
    if pieces is None:
        raise UploadIncomplete
    for piece in pieces:
        digest.update(piece)
        if len(start) < objects.START_BYTES:
            start += piece
        end = (end + piece[-objects.END_BYTES :])[-objects.END_BYTES :]
    return digest.hexdigest(), start, end


def _delete_quietly(key: str) -> None:
    try:
        storage.delete(key)
    except storage.StorageUnavailable:
        logger.warning("What a client has sent could not be deleted; it is reconciled later.")
