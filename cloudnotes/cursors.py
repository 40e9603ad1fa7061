"""Cursors of keyset pages: where a page ended, signed."""

import datetime as dt
from collections.abc import Sequence

from django.core import signing

SALT = "cloudnotes.pagination"


class NotACursor(Exception):
    """The text is not a cursor that this list gave out."""


def write(keyset: str, value: dt.datetime | int, key: int, scope: Sequence[str] = ()) -> str:
    """Return the cursor of a row: ``value`` is its ``keyset`` column, ``key`` its primary key.

    ``scope`` is what else the order of the list depends on.
    """
    told = value if isinstance(value, int) else value.isoformat()
    return signing.dumps([keyset, told, key, *scope], salt=SALT)


def read(cursor: str, keyset: str, scope: Sequence[str] = ()) -> tuple[dt.datetime | int, int]:
    """Return value and key of the row that a cursor names. Raises :class:`NotACursor`."""
    try:
        known, told, key, *rest = signing.loads(cursor, salt=SALT)
        if known == keyset and rest == [*scope]:
            return told if isinstance(told, int) else dt.datetime.fromisoformat(told), key
    except (signing.BadSignature, ValueError):
        pass
    raise NotACursor
