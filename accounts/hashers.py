"""Password hashes of the earlier generation."""

from typing import Any

import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher

BCRYPT_BYTES = 72


class PlainBCryptPasswordHasher(BCryptPasswordHasher):
    """Verifies plain ``$2b$`` hashes; a password that verifies is hashed anew with the default.

    bcrypt reads 72 bytes of a password. Old releases of the library cut the rest off; from 5.0
    it raises ValueError instead, which would turn a long wrong password into a 500.
    """

    def encode(self, password: str, salt: Any) -> str:
        hashed = bcrypt.hashpw(password.encode()[:BCRYPT_BYTES], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"
