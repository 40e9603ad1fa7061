"""Password hashes of the earlier generation."""

from django.contrib.auth.hashers import BCryptPasswordHasher

BCRYPT_BYTES = 72


class PlainBCryptPasswordHasher(BCryptPasswordHasher):
    """Verifies plain ``$2b$`` hashes; a password that verifies is hashed anew with the default.

    bcrypt reads 72 bytes of a password. Old releases of the library cut the rest off; from 5.0
    it raises ValueError instead, which would turn a long wrong password into a 500.
    """

    def verify(self, password: str, encoded: str) -> bool:
        cut = password.encode()[:BCRYPT_BYTES]
        return super().verify(cut, encoded)

    def encode(self, password: str | bytes, salt: bytes) -> str:
        raw = password.encode() if isinstance(password, str) else password
        return super().encode(raw[:BCRYPT_BYTES], salt)
