"""Bearer tokens on requests (RFC 6750)."""

import datetime as dt
import logging

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import jwt
from accounts.models import Session, User

security_log = logging.getLogger("cloudnotes.security")

SEEN_EVERY = dt.timedelta(minutes=15)


class BearerAuthentication(BaseAuthentication):
    """Reads ``Authorization: Bearer <access token>``; ``request.auth`` is then the session.

    The session and its user are read in one query a request, so revoking a session or disabling
    a user works on the very next request.
    """

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, token = header.partition(" ")
        if not header:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed(
                "Send the access token as 'Authorization: Bearer <token>'.", code="unknown_scheme"
            )
        try:
            claims = jwt.read_access_token(token.strip())
        except jwt.InvalidToken:
            raise _refused() from None
        now = timezone.now()
        session = (
            Session.objects.live(now)
            .select_related("user")
            .filter(pk=claims.session_id, user_id=claims.user_id, user__is_active=True)
            .first()
        )
        if session is None:
            security_log.warning(
                "token refused",
                extra={
                    "event": "token_refused",
                    "user": claims.user_id,
                    "session": claims.session_id,
                },
            )
            raise _refused()
        if now - session.last_seen_at > SEEN_EVERY:
            Session.objects.filter(pk=session.pk).update(last_seen_at=now)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="CloudNotes"'


def _refused() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The access token is not valid, has expired or was revoked. Refresh it or log in again.",
        code="invalid_token",
    )


def caller(request: HttpRequest | Request) -> User:
    """Return the user behind a request that permissions, or the admin, have let in."""
    assert isinstance(request.user, User)
    return request.user
