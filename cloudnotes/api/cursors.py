"""Cursors of keyset pages: the encrypted position at which a page ended.

They are encrypted because a position can hold text of a note, and proxies log URLs. Clients can
neither read nor forge them. AES-SIV (RFC 5297) is deterministic: the same position gives the same
cursor, so a page that did not change has the same bytes.
"""

import base64
import binascii
import datetime as dt
import functools
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings

from cloudnotes.api import key_derivation

PURPOSE = "cursor of a page"
Value = dt.datetime | int | str


class NotACursor(Exception):
    """The text is not a cursor that this list gave out."""


def write(keyset: str, value: Value, key: int, scope: Sequence[str] = ()) -> str:
    """Return the cursor of a row: ``value`` is its ``keyset`` column, ``key`` its primary key.

    ``scope`` holds everything else that the order of the list depends on.
    """
    json_value = value.isoformat() if isinstance(value, dt.datetime) else value
    is_time = isinstance(value, dt.datetime)
    position = json.dumps([keyset, is_time, json_value, key, *scope]).encode()
    return _encode(_cipher(settings.SECRET_KEY).encrypt(position, None))


def read(cursor: str, keyset: str, scope: Sequence[str] = ()) -> tuple[Value, int]:
    """Return value and key of a cursor's row. Raises :class:`NotACursor`."""
    cursor_keyset, is_time, json_value, key, *cursor_scope = json.loads(_decrypt(cursor))
    if cursor_keyset != keyset or cursor_scope != [*scope]:
        raise NotACursor
    return dt.datetime.fromisoformat(json_value) if is_time else json_value, key


@functools.lru_cache(8)
def _cipher(secret: str) -> AESSIV:
    # Half of the key authenticates and half of it encrypts.
    return AESSIV(b"".join(key_derivation.derive(PURPOSE, half, key=secret) for half in range(2)))


def _decrypt(cursor: str) -> bytes:
    try:
        encrypted = base64.urlsafe_b64decode(f"{cursor}==")
    except (binascii.Error, ValueError):
        raise NotACursor from None
    if _encode(encrypted) == cursor:
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            try:
                return _cipher(secret).decrypt(encrypted, None)
            except (InvalidTag, ValueError):
                continue
    raise NotACursor


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
