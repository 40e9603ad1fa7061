"""What storages tell of what lies in them. No ORM, no HTTP."""

import datetime as dt
from dataclasses import dataclass

# Of an upload in parts: the size in bytes and the store's name of each, by its number.
Parts = dict[int, tuple[int, str]]


@dataclass(frozen=True)
class Head:
    """An object's size in bytes, and its SHA-256 in hex if the store has compared it itself.

    ``is_plain`` unless it is given with a Content-Encoding, and so as other bytes than it has.
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
    """An upload in parts that was begun and is not over."""

    key: str
    upload_id: str
    begun_at: dt.datetime
