"""JSON Web Tokens: the only module that uses SimpleJWT and PyJWT.

Both kinds of token are signed with ``JWT_SECRET`` by ``ALGORITHM`` and carry exactly the claims
``sub`` (user id), ``sid`` (session id), ``jti``, ``iat``, ``exp`` and ``type``.
"""

import datetime as dt
import functools
import time
import uuid
from dataclasses import dataclass

import jwt
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.models import Session

MAX_TOKEN_LENGTH = 4096
HEADER_FIELDS = {"alg", "typ"}
BIGGEST_ID = 2**63 - 1
KINDS: dict[str, type[Token]] = {kind.token_type: kind for kind in (AccessToken, RefreshToken)}
REMEMBERED = 4096  # tokens a process, at most 4 KiB each


class InvalidToken(Exception):
    """The token was not signed by this service for this use, or it has expired."""


@dataclass(frozen=True)
class Claims:
    """The claims of a valid token."""

    user_id: int
    session_id: int
    token_id: str
    expires_at: float  # seconds since 1970


@dataclass(frozen=True)
class Tokens:
    """The pair of tokens that a session hands out."""

    access: str
    refresh: str


def issue(session: Session, now: dt.datetime) -> Tokens:
    """Return a new access token of a session, and its current refresh token."""
    return Tokens(access=access_token(session, now), refresh=refresh_token(session))


def access_lifetime() -> int:
    """Return the lifetime of a new access token in seconds."""
    return int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())


def access_token(session: Session, now: dt.datetime) -> str:
    """Return a new access token of a session.

    Its ``sub`` is the account's id; ``username`` (or the address) is for clients to show.
    """
    token = AccessToken()
    token["username"] = session.user.username or session.user.email
    return _signed(token, session, uuid.uuid4().hex, now, api_settings.ACCESS_TOKEN_LIFETIME)


def refresh_token(session: Session) -> str:
    """Return the session's current refresh token.

    It is derived from the row alone, so every call returns the same bytes and it is not stored.
    """
    lifetime = min(api_settings.REFRESH_TOKEN_LIFETIME, session.expires_at - session.rotated_at)
    return _signed(RefreshToken(), session, session.refresh_id.hex, session.rotated_at, lifetime)


def read_access_token(token: str) -> Claims:
    """Return the claims of an access token. Raises :class:`InvalidToken`."""
    return _read(AccessToken, token)


def read_refresh_token(token: str) -> Claims:
    """Return the claims of a refresh token. Raises :class:`InvalidToken`."""
    return _read(RefreshToken, token)


def _signed(
    token: Token, session: Session, token_id: str, issued_at: dt.datetime, lifetime: dt.timedelta
) -> str:
    token[api_settings.USER_ID_CLAIM] = str(session.user_id)
    token["sid"] = str(session.pk)
    token[api_settings.JTI_CLAIM] = token_id
    token.set_iat(at_time=issued_at)
    token.set_exp(from_time=issued_at, lifetime=lifetime)
    return str(token)


def _read(kind: type[Token], token: str) -> Claims:
    claims = _verify(kind.token_type, token, api_settings.SIGNING_KEY, api_settings.ALGORITHM)
    if claims.expires_at <= time.time() - api_settings.LEEWAY.total_seconds():
        raise InvalidToken
    return claims


@functools.lru_cache(REMEMBERED)
def _verify(kind: str, token: str, key: str, algorithm: str) -> Claims:
    """Return the claims of a token after checking its signature, type and times.

    That is remembered: of all that is checked here only the expiry can become wrong later, and
    the caller looks at it each time. A refusal is not remembered. ``key`` and ``algorithm`` are
    those that SimpleJWT uses, so that another key forgets.
    """
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise InvalidToken
    try:
        # We never write other header fields (kid, crit, jku …) and do not support them.
        if set(jwt.get_unverified_header(token)) - HEADER_FIELDS:
            raise InvalidToken
        verified = KINDS[kind](token)  # type: ignore[arg-type]  # SimpleJWT annotates the encoded text as a Token
    except (TokenError, jwt.InvalidTokenError, TypeError, ValueError, OverflowError):
        # The last three: SimpleJWT does arithmetic on claims before it looks at their types.
        raise InvalidToken from None
    if not isinstance(verified.get("iat"), int | float):
        raise InvalidToken
    token_id = verified.get(api_settings.JTI_CLAIM)
    if not isinstance(token_id, str):
        raise InvalidToken
    return Claims(
        user_id=_row_id(verified.get(api_settings.USER_ID_CLAIM)),
        session_id=_row_id(verified.get("sid")),
        token_id=token_id,
        expires_at=float(verified["exp"]),
    )


def _row_id(claim: object) -> int:
    if not (isinstance(claim, str) and claim.isascii() and claim.isdigit() and len(claim) < 20):
        raise InvalidToken
    number = int(claim)
    if number > BIGGEST_ID:
        raise InvalidToken
    return number
