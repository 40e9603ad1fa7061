"""What a mail carries to prove that it was read: a link's token, or a code to type.

Both follow from the mail's row and ``SECRET_KEY``, so they are stored nowhere. Of a mail that had
to be sent again the newest copy counts.
"""

import hmac
from base64 import urlsafe_b64encode

from accounts.models import Mail
from cloudnotes.api import key_derivation

CODE_DIGITS = 8
BIGGEST_ID = 2**63 - 1


def token(mail: Mail) -> str:
    """Return the mail's token: its id and 256 bits that nobody can guess."""
    return f"{mail.pk}.{_text(key_derivation.derive('mail.token', *_identity(mail)))}"


def code(mail: Mail) -> str:
    """Return the mail's code: eight digits, good for some attempts (``actions.mails``)."""
    return _digits(key_derivation.derive("mail.code", *_identity(mail)))


def mail_id(text: str) -> int | None:
    """Return the id of the mail that a token claims to come from, None if it is no token."""
    digits = text.partition(".")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return int(digits) if int(digits) <= BIGGEST_ID else None


def is_token(mail: Mail, candidate: str) -> bool:
    """Return whether ``given`` is the mail's token; takes the same time for every wrong one."""
    derived = key_derivation.derive_all("mail.token", *_identity(mail))
    return _is_one_of(candidate, [f"{mail.pk}.{_text(secret)}" for secret in derived])


def is_code(mail: Mail, candidate: str) -> bool:
    """Return whether ``given`` is the mail's code."""
    return _is_one_of(
        candidate,
        [_digits(secret) for secret in key_derivation.derive_all("mail.code", *_identity(mail))],
    )


def _identity(mail: Mail) -> tuple[object, ...]:
    # The time too, as a database restored from a copy gives out ids again; and the attempt, so
    # that what an attempt delivered that seemed to fail is not good for longer than an hour.
    return mail.kind, mail.pk, mail.created_at.isoformat(), mail.attempts


def _text(secret: bytes) -> str:
    return urlsafe_b64encode(secret).decode().rstrip("=")


def _digits(secret: bytes) -> str:
    return f"{int.from_bytes(secret) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _is_one_of(candidate: str, valid: list[str]) -> bool:
    return any(hmac.compare_digest(candidate.encode(), text.encode()) for text in valid)
