"""What a storage does, and what it tells of what lies in it. No ORM, no HTTP."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

# The parts of an upload: size in bytes and the store's ETag, by number.
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
    """Stores an object as its bytes come. What is not finished is left to who knows its key."""

    def write(self, chunk: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


class Storage(Protocol):
    """Where objects lie, by their keys: a folder, or a bucket.

    Methods raise what ``notes.files.storage.FAILURES`` lists, and those that return an iterator do
    so while it is read, too. None stands for an object, or an upload in parts, that is not there.
    """

    @property
    def verifies_checksums(self) -> bool:
        """Whether the checksum in a :class:`Head` is one that the storage has compared itself."""

    @property
    def takes_parts(self) -> bool:
        """Whether clients may send an upload in parts."""

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> Writer:
        """Return what stores an object under a key that was never used, as its bytes come.

        ``on_parts`` is called with the name of the upload if it is sent in parts.
        """

    def head(self, key: str) -> Head | None:
        """Return what there is to know of an object without its bytes."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes of an object from ``start`` to before ``end``."""

    def copy(self, source: str, key: str) -> None:
        """Have an object under a second key too."""

    def rename(self, source: str, key: str) -> None:
        """Have an object under another key, in place of what is there."""

    def remove(self, key: str) -> None:
        """Delete an object; deleting one that is gone succeeds."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose keys begin so, in the order of their keys."""

    def link(self, key: str, name: str, content_type: str, *, is_inline: bool) -> str | None:
        """Return a short-lived address at which the storage itself gives an object to anybody.

        None if it answers nobody itself; so does :meth:`upload_link`.
        """

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return an address to PUT exactly these bytes to, and the headers to send."""

    def begin_parts(self, key: str) -> str:
        """Begin an upload in parts and return its name."""

    def part_link(self, key: str, upload_id: str, number: int, *, size: int) -> str:
        """Return an address to PUT a part of so many bytes to."""

    def parts(self, key: str, upload_id: str) -> Parts | None:
        """Return the parts that have come."""

    def finish_parts(self, key: str, upload_id: str, parts: Parts) -> None:
        """Make an object of the parts."""

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Drop an upload in parts, if it is not over."""

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the uploads in parts that are not over."""

    def is_reachable(self) -> bool:
        """Return whether the storage answers."""
