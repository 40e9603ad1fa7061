"""Password hashes of the earlier generation."""

import base64
import hashlib
import re
from typing import Any

import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher, PBKDF2PasswordHasher

BCRYPT_BYTES = 72
COLUMN_LENGTH = 128  # of AbstractBaseUser.password
# Limits of what one log-in may cost: a few seconds and 256 MiB. The hashes are not ours.
LIMITS = {"rounds": 2_000_000, "cost": 14, "memory": 2**18, "passes": 16, "lanes": 16}

# Exact to the last bit: with a hash that bcrypt cannot read, every log-in raises ValueError. Of the
# salt's 22nd character two bits are used, of the checksum's last character four.
_BCRYPT = (
    r"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])"
    r"\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)
_ROUNDS = r"(?P<rounds>[1-9][0-9]{0,9})"
_VERIFIABLE = [
    re.compile(form)
    for form in (
        rf"bcrypt(?:_sha256)?\${_BCRYPT}",
        rf"pbkdf2_sha256\${_ROUNDS}\$[!-#%-~]+\$[A-Za-z0-9+/]{{43}}=",
        rf"passlib_pbkdf2_sha256\${_ROUNDS}"
        r"\$(?:[A-Za-z0-9./]{4})*(?:[A-Za-z0-9./]{2,3})?\$[A-Za-z0-9./]{43}",
        r"argon2\$argon2(?:id|i|d)\$v=19"
        r"\$m=(?P<memory>[1-9][0-9]{0,9}),t=(?P<passes>[1-9][0-9]{0,9}),p=(?P<lanes>[1-9][0-9]{0,9})"
        r"\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+",
    )
]
_OURS = {
    "$2a$": "bcrypt$$2a$",
    "$2b$": "bcrypt$$2b$",
    "$2y$": "bcrypt$$2y$",
    "$argon2": "argon2$argon2",
    "$pbkdf2-sha256$": "passlib_pbkdf2_sha256$",
}


class PlainBCryptPasswordHasher(BCryptPasswordHasher):
    """Verifies plain ``$2b$`` hashes; a verified password is hashed again with the default.

    bcrypt reads 72 bytes of a password. Old releases of the library ignore the rest; from 5.0 on
    it raises ValueError instead, so a long wrong password would be answered with 500.
    """

    def encode(self, password: str, salt: Any) -> str:
        hashed = bcrypt.hashpw(password.encode()[:BCRYPT_BYTES], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"


class PasslibPBKDF2Hasher(PBKDF2PasswordHasher):
    """Verifies passlib's ``$pbkdf2-sha256$``; a verified password is hashed again by the default.

    Differs from Django's PBKDF2 in that the salt is raw bytes. Salt and checksum are written in
    passlib's "adapted base64": ``.`` for ``+``, no padding.
    """

    algorithm = "passlib_pbkdf2_sha256"

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        rounds = iterations or self.iterations
        raw = base64.b64decode(salt + "==", altchars=b"./")
        checksum = hashlib.pbkdf2_hmac("sha256", password.encode(), raw, rounds)
        encoded = base64.b64encode(checksum, altchars=b"./").decode().rstrip("=")
        return f"{self.algorithm}${rounds}${salt}${encoded}"

    def must_update(self, encoded: str) -> bool:
        return True


def adopt(hashed: str) -> str | None:
    """Return a hash of the earlier generation in the form that our hashers verify, or None.

    Accepted are bcrypt, Argon2 and passlib's PBKDF2-SHA-256 as their libraries write them, and all
    of Django's forms that PASSWORD_HASHERS names. None for any other hash, for one on which its
    library would raise, and for one that would cost more than ``LIMITS`` at each log-in.
    """
    for prefix, ours in _OURS.items():
        if hashed.startswith(prefix):
            hashed = ours + hashed.removeprefix(prefix)
            break
    for form in _VERIFIABLE:
        if (match := form.fullmatch(hashed)) and len(hashed) <= COLUMN_LENGTH:
            costs = match.groupdict().items()
            return hashed if all(int(cost) <= LIMITS[name] for name, cost in costs) else None
    return None
