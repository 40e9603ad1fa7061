"""Cursors of keyset pages: where a page ended, signed.

The same place has the same cursor at any time, so a page that did not change is the same bytes.
"""

import base64
import datetime as dt
import json
from collections.abc import Sequence

from django.utils.crypto import constant_time_compare

from accounts import keys

PURPOSE = "cursor of a page"


class NotACursor(Exception):
    """The text is not a cursor that this list gave out."""


def write(keyset: str, value: dt.datetime | int, key: int, scope: Sequence[str] = ()) -> str:
    """Return the cursor of a row: ``value`` is its ``keyset`` column, ``key`` its primary key.

    ``scope`` is what else the order of the list depends on.
    """
    told = value if isinstance(value, int) else value.isoformat()
    place = _encode(json.dumps([keyset, told, key, *scope]).encode())
    return f"{place}.{_encode(keys.derive(PURPOSE, place))}"


def read(cursor: str, keyset: str, scope: Sequence[str] = ()) -> tuple[dt.datetime | int, int]:
    """Return value and key of the row that a cursor names. Raises :class:`NotACursor`."""
    place, _, signature = cursor.encode(errors="replace").decode().partition(".")
    signatures = map(_encode, keys.derive_all(PURPOSE, place))
    if not any(constant_time_compare(signature, good) for good in signatures):
        raise NotACursor
    known, told, key, *rest = json.loads(base64.urlsafe_b64decode(f"{place}=="))
    if known != keyset or rest != [*scope]:
        raise NotACursor
    return told if isinstance(told, int) else dt.datetime.fromisoformat(told), key


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
