"""Secrets that follow from ``SECRET_KEY`` and a row, so that no database holds them.

A dump of the database then gives nobody a reset link, a code or a second factor.
"""

import hashlib
import hmac

from django.conf import settings


def derive(purpose: str, *parts: object, key: str | None = None) -> bytes:
    """Return 32 bytes that only the holder of the key can compute (HMAC-SHA256, RFC 2104).

    ``purpose`` keeps the secrets of different uses apart; ``parts`` say whose it is.
    """
    message = "\0".join([purpose, *map(str, parts)]).encode()
    return hmac.digest((key or settings.SECRET_KEY).encode(), message, hashlib.sha256)


def derive_all(purpose: str, *parts: object) -> list[bytes]:
    """Return what :func:`derive` gives with the current key and gave with the ones before it."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [derive(purpose, *parts, key=key) for key in keys]
