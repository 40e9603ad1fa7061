"""Secrets that are derived from ``SECRET_KEY`` and a row, so that no database stores them.

So a dump of the database reveals no reset link, code or second factor.
"""

import hashlib
import hmac

from django.conf import settings


def derive(purpose: str, *parts: object, key: str | None = None) -> bytes:
    """Return 32 bytes that only the holder of the key can compute (HMAC-SHA256, RFC 2104).

    ``purpose`` separates the secrets of different uses; ``parts`` identify the owner.
    """
    message = "\0".join([purpose, *map(str, parts)]).encode()
    return hmac.digest((key or settings.SECRET_KEY).encode(), message, hashlib.sha256)


def derive_all(purpose: str, *parts: object) -> list[bytes]:
    """Return the results of :func:`derive` with the current key and with each fallback key."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [derive(purpose, *parts, key=key) for key in keys]
