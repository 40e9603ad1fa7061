"""The methods of a storage, and types for what it returns. No ORM, no HTTP."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

# The parts of an upload: size in bytes and the storage's ETag, by number.
Parts = dict[int, tuple[int, str]]


@dataclass(frozen=True)
class Head:
    """An object's size in bytes, and its SHA-256 in hex if the store has compared it itself.

    ``is_plain`` is false if it is served with a Content-Encoding, so that clients read other bytes.
    """

    size: int
    sha256: str | None
    is_plain: bool = True


@dataclass(frozen=True)
class Listed:
    """An object in a list."""

    key: str
    size: int
    modified_at: dt.datetime


@dataclass(frozen=True)
class Unfinished:
    """An upload in parts that has begun and is not over."""

    key: str
    upload_id: str
    begun_at: dt.datetime


class Writer(Protocol):
    """Stores an object while its bytes arrive. The caller deletes what is not finished."""

    def write(self, chunk: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


class Storage(Protocol):
    """A storage of objects by keys: a folder or a bucket.

    Methods raise the exceptions of ``notes.files.storage.FAILURES``; those that return an iterator
    may also raise them while it is read. None stands for an object, or an upload in parts, that
    does not exist.
    """

    @property
    def verifies_checksums(self) -> bool:
        """Whether the storage itself has compared the checksums that it returns."""

    @property
    def takes_parts(self) -> bool:
        """Whether clients may send an upload in parts."""

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> Writer:
        """Return a writer that stores an object under a new key while its bytes arrive.

        Calls ``on_parts`` with the storage's id of the upload if it is sent in parts.
        """

    def head(self, key: str) -> Head | None:
        """Return size and checksum of an object."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes of an object from ``start`` to before ``end``."""

    def copy(self, source: str, key: str) -> None:
        """Copy an object to a second key."""

    def rename(self, source: str, key: str) -> None:
        """Move an object to another key; replaces the object there."""

    def remove(self, key: str) -> None:
        """Delete an object; succeeds if it does not exist."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose keys start with ``prefix``, in the order of their keys."""

    def link(self, key: str, name: str, content_type: str, *, is_inline: bool) -> str | None:
        """Return a short-lived address at which the storage itself serves an object to anybody.

        None if the storage does not serve files; the same applies to :meth:`upload_link`.
        """

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return an address to PUT exactly these bytes to, and the headers to send."""

    def begin_parts(self, key: str) -> str:
        """Begin an upload in parts and return the storage's id of it."""

    def part_link(self, key: str, upload_id: str, number: int, *, size: int) -> str:
        """Return an address to PUT a part of exactly this size to."""

    def parts(self, key: str, upload_id: str) -> Parts | None:
        """Return the parts that are stored."""

    def finish_parts(self, key: str, upload_id: str, parts: Parts) -> None:
        """Assemble the parts to an object."""

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Abort an upload in parts, if it is not over."""

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the uploads in parts that are not over."""

    def is_reachable(self) -> bool:
        """Return whether the storage responds."""
