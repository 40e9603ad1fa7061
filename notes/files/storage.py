"""The storage of files: object keys, reads and writes, short-lived signed links. No ORM, no HTTP.

The storage is S3 if ``BUCKET_NAME`` is set, else a folder (``notes.files.s3``,
``notes.files.filesystem``). Both have the same methods, and only this module calls them. While
files are moved from one storage to another (``OTHER_STORAGE``), reads that find no object in the
one look in the other.
"""

import contextlib
import hashlib
import heapq
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage, storages

from cloudnotes.api.errors import DomainError
from notes.files.types import Head, Listed, Parts, Storage, Unfinished, Writer

if TYPE_CHECKING:
    from notes.files.filesystem import FolderStorage
    from notes.files.s3 import BucketStorage

FILES, ARRIVING = "files/", "arriving/"
UPLOAD_SALT = "notes.storage.upload"  # not where it is now: links were signed with it
# What reading an object may raise, besides the end of a connection in the middle.
FAILURES = (BotoCoreError, ClientError, Boto3Error, OSError)

_storage = cast(Storage, default_storage)
if TYPE_CHECKING:
    BACKENDS: tuple[type[Storage], ...] = (BucketStorage, FolderStorage)


class StorageUnavailable(DomainError):
    """The bucket or the disk does not respond, or refuses."""

    status = 503
    code = "storage_unavailable"
    detail = "Files cannot be stored or fetched at the moment. Please try again."


class WrongBytes(DomainError):
    """The bytes that were sent are not those of the link."""

    status = 422
    code = "checksum_mismatch"
    detail = "These are not the bytes that were announced. Send those, as they are."


class InvalidLink(Exception):
    """This service did not sign the link, or the link has expired."""


def new_key() -> str:
    """Return a key that nobody can guess (256 random bits) and that does not describe its file."""
    token = secrets.token_hex(32)
    return f"{FILES}{token[:2]}/{token}"


def arriving(key: str) -> str:
    """Return the key that a client may write to, for an object that will have the key ``key``.

    The two always differ: a client that still has the link must not replace a verified object.
    """
    return ARRIVING + key.removeprefix(FILES)


def arrived(key: str) -> str:
    """Return the final key of an object that a client writes to the key ``key``."""
    return FILES + key.removeprefix(ARRIVING).partition(".")[0]


def open_writer(key: str, *, on_parts: Callable[[str], None]) -> Writer:
    """Return a writer for an object with a new key.

    Calls ``on_parts`` with the storage's id if it begins an upload in parts. This function and the
    writer's methods raise :class:`StorageUnavailable`.
    """
    with _failures_named():
        return _NamingWriter(_storage.open_writer(key, on_parts=on_parts))


def read(key: str, start: int = 0, end: int | None = None) -> bytes | None:
    """Return the bytes of a small object or a part of it; None if there is no object.

    Raises :class:`StorageUnavailable`.
    """
    pieces = stream(key, start, end)
    if pieces is None:
        return None
    return b"".join(pieces)


def stream(key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
    """Return the bytes of an object in pieces, from ``start`` to before ``end``.

    None if there is no object. Raises :class:`StorageUnavailable`, also between the pieces.
    """
    with _failures_named():
        pieces = _holder(key).stream(key, start, end)
    return None if pieces is None else _named(pieces)


def head(key: str) -> Head | None:
    """Return size and checksum of an object, None if there is no object.

    Raises :class:`StorageUnavailable`.
    """
    with _failures_named():
        return _holder(key).head(key)


def copy(source: str, key: str) -> None:
    """Copy an object to a second key. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        if _holder(source) is _storage:
            _storage.copy(source, key)
            return
        writer = _storage.open_writer(key, on_parts=lambda _: None)
        for piece in _holder(source).stream(source) or ():
            writer.write(piece)
        writer.finish()


def delete(key: str) -> None:
    """Delete an object; succeeds if it does not exist. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        for each in _all():
            each.remove(key)


def listed(*, is_arriving: bool = False) -> Iterator[Listed]:
    """Yield all objects, or those that clients are sending, in the order of their keys.

    Raises :class:`StorageUnavailable`.
    """
    prefix = ARRIVING if is_arriving else FILES
    with _failures_named():
        listings = (each.listed(prefix) for each in _all())
        yield from heapq.merge(*listings, key=lambda entry: entry.key)


def unfinished() -> Iterator[Unfinished]:
    """Yield the uploads in parts that are not over. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        yield from _storage.unfinished()


def takes_parts() -> bool:
    """Return whether clients may send an upload in parts."""
    return _storage.takes_parts


def upload_link(key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]]:
    """Return an address, or a path of this service, to PUT exactly these bytes to for 300 s.

    Also returns the headers to send. Raises :class:`StorageUnavailable`.
    """
    with _failures_named():
        target = _storage.upload_link(arriving(key), size=size, sha256=sha256)
    if target is not None:
        return target
    token = signing.dumps([arriving(key), size, sha256], salt=UPLOAD_SALT)
    return f"/uploads/{token}", {"Content-Type": "application/octet-stream"}


class Announced(NamedTuple):
    """The content of an upload link: it allows exactly these bytes under this key."""

    key: str
    size: int
    sha256: str


def read_upload_link(token: str) -> Announced:
    """Return what a client may send to an upload link. Raises :class:`InvalidLink`."""
    try:
        payload = signing.loads(token, salt=UPLOAD_SALT, max_age=settings.FILE_LINK_SECONDS)
        return Announced(*payload)
    except (signing.BadSignature, ValueError, TypeError):
        raise InvalidLink from None


def take(announced: Announced, pieces: Iterator[bytes]) -> None:
    """Store what a client sends to an upload link; replaces what it sent before.

    Used for folders only, because clients send to S3 directly. Raises :class:`WrongBytes` and
    :class:`StorageUnavailable`; then nothing is changed.
    """
    coming = f"{announced.key}.{secrets.token_hex(8)}"
    writer, digest = open_writer(coming, on_parts=lambda _: None), hashlib.sha256()
    try:
        for piece in pieces:
            digest.update(piece)
            writer.write(piece)
        if digest.hexdigest() != announced.sha256:
            raise WrongBytes
        writer.finish()
        with _failures_named():
            _storage.rename(coming, announced.key)
    except BaseException:
        with contextlib.suppress(StorageUnavailable):
            writer.abort()
            delete(coming)
        raise


def begin_parts(key: str) -> str:
    """Begin an upload in parts; return its id. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        return _storage.begin_parts(key)


def part_link(key: str, upload_id: str, number: int, *, size: int) -> str:
    """Return an address to PUT a part to for 300 s. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        return _storage.part_link(key, upload_id, number, size=size)


def parts(key: str, upload_id: str) -> Parts | None:
    """Return the parts that are stored, None if the upload is over.

    Raises :class:`StorageUnavailable`.
    """
    with _failures_named():
        return _storage.parts(key, upload_id)


def finish_parts(key: str, upload_id: str, parts: Parts) -> None:
    """Assemble parts to an object. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        _storage.finish_parts(key, upload_id, parts)


def abort_parts(key: str, upload_id: str) -> None:
    """Abort an upload in parts, if it is not over. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        _storage.abort_parts(key, upload_id)


def link(key: str, name: str, content_type: str, *, is_inline: bool = False) -> str | None:
    """Return an address at which the storage itself serves the file to anybody for 300 s.

    None if the storage does not serve files. Raises :class:`StorageUnavailable` if there are no
    credentials to sign with.
    """
    with _failures_named():
        return _holder(key).link(key, name, content_type, is_inline=is_inline)


def is_moving() -> bool:
    """Return whether files are being moved from or to another storage."""
    return "other" in settings.STORAGES


def bring(key: str, *, size: int, sha256: str) -> bool | None:
    """Copy an object from the other storage to this one, and read it back to verify it.

    Returns True if it was copied, False if it was here already, None if the other storage does not
    have exactly these bytes. Raises :class:`StorageUnavailable`.
    """
    with _failures_named():
        there = _storage.head(key)
        if there is not None and there.size == size:
            return False
        other = _other()
        pieces = other.stream(key)
        if pieces is None:
            return None
        writer, digest = _storage.open_writer(key, on_parts=lambda _: None), hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
            writer.write(piece)
        if digest.hexdigest() != sha256:
            writer.abort()
            return None
        writer.finish()
        again = hashlib.sha256()
        for piece in _storage.stream(key) or ():
            again.update(piece)
        if again.hexdigest() != sha256:
            _storage.remove(key)
            raise OSError("What was written is not what is read.")
        return True


def _other() -> Storage:
    return cast(Storage, storages["other"])


def _all() -> list[Storage]:
    """Return the storage, and also the other one while files are moved."""
    return [_storage, _other()] if is_moving() else [_storage]


def _holder(key: str) -> Storage:
    """Return the storage that has an object; the first one if none has it."""
    candidates = _all()
    return next((each for each in candidates[1:] if _storage.head(key) is None), candidates[0])


def _named(pieces: Iterator[bytes]) -> Iterator[bytes]:
    with _failures_named():
        yield from pieces


class _NamingWriter:
    """A writer that raises :class:`StorageUnavailable` for every failure."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def write(self, chunk: bytes) -> None:
        with _failures_named():
            self.writer.write(chunk)

    def finish(self) -> None:
        with _failures_named():
            self.writer.finish()

    def abort(self) -> None:
        with _failures_named():
            self.writer.abort()


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise StorageUnavailable from error
