"""The form of personal access tokens: ``cn_`` + 43 characters + 6 of a checksum.

The prefix lets secret scanners find one that leaked, the checksum lets us refuse a mistyped one
without a query (as GitHub does with its own tokens).
"""

import hashlib
import re
import secrets
import zlib

PREFIX = "cn_"
WELL_FORMED = re.compile(r"cn_[A-Za-z0-9]{43}[A-Za-z0-9]{6}", re.ASCII)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_token() -> str:
    """Return a new token with 256 random bits."""
    body = _base62(secrets.randbits(256), 43)
    return PREFIX + body + _checksum(body)


def is_personal_token(text: str) -> bool:
    """Return whether a bearer token has the prefix of personal access tokens."""
    return text.startswith(PREFIX)


def digest(token: str) -> str | None:
    """Return the digest that is stored of a token, None if it is not well-formed."""
    if not WELL_FORMED.fullmatch(token):
        return None
    body, checksum = token[len(PREFIX) : -6], token[-6:]
    if checksum != _checksum(body):
        return None
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
