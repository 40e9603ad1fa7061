"""Types for what storages return about their objects. No ORM, no HTTP."""

import datetime as dt
from dataclasses import dataclass

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
