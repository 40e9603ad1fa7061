"""The token in a mail's link, and the code to type: both prove that the mail was read.

Both are derived from the mail's row and ``SECRET_KEY``, so they are stored nowhere. If a mail was
sent several times, only the newest copy is valid.
"""

import hmac
from base64 import urlsafe_b64encode

from accounts.models import Mail
from cloudnotes.api import key_derivation

CODE_DIGITS = 8
BIGGEST_ID = 2**63 - 1


def token(mail: Mail) -> str:
    """Return the mail's token: its id and 256 secret bits."""
    return f"{mail.pk}.{_text(key_derivation.derive('mail.token', *_identity(mail)))}"


def code(mail: Mail) -> str:
    """Return the mail's code: eight digits, with a limit of attempts (``actions.mails``)."""
    return _digits(key_derivation.derive("mail.code", *_identity(mail)))


def mail_id(text: str) -> int | None:
    """Return the id of the mail that a token names, None if the text is no token."""
    digits = text.partition(".")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return int(digits) if int(digits) <= BIGGEST_ID else None


def is_token(mail: Mail, candidate: str) -> bool:
    """Return whether ``candidate`` is the mail's token; every wrong one takes equally long."""
    derived = key_derivation.derive_all("mail.token", *_identity(mail))
    return _is_one_of(candidate, [f"{mail.pk}.{_text(secret)}" for secret in derived])


def is_code(mail: Mail, candidate: str) -> bool:
    """Return whether ``candidate`` is the mail's code."""
    return _is_one_of(
        candidate,
        [_digits(secret) for secret in key_derivation.derive_all("mail.code", *_identity(mail))],
    )


def _identity(mail: Mail) -> tuple[object, ...]:
    # With the time, because a database restored from a backup assigns the same ids again. With the
    # attempt, so that a mail whose delivery only seemed to fail is valid for an hour at most.
    return mail.kind, mail.pk, mail.created_at.isoformat(), mail.attempts


def _text(secret: bytes) -> str:
    return urlsafe_b64encode(secret).decode().rstrip("=")


def _digits(secret: bytes) -> str:
    return f"{int.from_bytes(secret) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _is_one_of(candidate: str, valid: list[str]) -> bool:
    return any(hmac.compare_digest(candidate.encode(), text.encode()) for text in valid)
