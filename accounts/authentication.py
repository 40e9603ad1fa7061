"""Bearer tokens on requests (RFC 6750)."""

import datetime as dt
import logging
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import jwt, personal_tokens
from accounts.models import PersonalAccessToken, Session, User
from accounts.models.sessions import SessionQuerySet
from accounts.models.tokens import PersonalAccessTokenQuerySet, grants
from cloudnotes.db.compiled_queries import Executor, InstanceQuery, Parameter, Query

security_log = logging.getLogger("cloudnotes.security")

SEEN_EVERY = dt.timedelta(minutes=15)
USED_EVERY = dt.timedelta(minutes=1)

Bearer = tuple[User, Session | PersonalAccessToken]

# The columns of a user that every request needs; Django loads others at first access.
USER = ("id", "require_if_match", "language")
OF_USER = tuple(f"user__{name}" for name in USER)


NOW: Any = Parameter("now")


def _sessions() -> SessionQuerySet:
    """Return the query for the live session of the parameters, if its user is active."""
    live = Session.objects.live(NOW)
    return live.filter(pk=Parameter("session"), user_id=Parameter("user"), user__is_active=True)


def _tokens() -> PersonalAccessTokenQuerySet:
    """Return the query for the live token of the parameter, if its user is active."""
    live = PersonalAccessToken.objects.live(NOW)
    return live.filter(digest=Parameter("digest"), user__is_active=True)


WHOLE_SESSION = InstanceQuery(lambda: _sessions().select_related("user"))
WHOLE_TOKEN = InstanceQuery(lambda: _tokens().select_related("user"))
SESSION = Query(lambda: _sessions().values_list("last_seen_at", *OF_USER))
TOKEN = Query(lambda: _tokens().values_list("pk", "last_used_at", "scopes", "category", *OF_USER))


class BearerAuthentication(BaseAuthentication):
    """Reads ``Authorization: Bearer <token>``: an access token or a personal access token.

    ``request.auth`` is the session, or the row of the personal access token. It is read together
    with its user, in one query per request, so revoking it or disabling the user affects the very
    next request. The result is stored on the request: a middleware and then the view get the same
    one.
    """

    def authenticate(self, request: HttpRequest | Request) -> Bearer | None:
        http_request: Any = getattr(request, "_request", request)
        if not hasattr(http_request, "bearer"):
            try:
                http_request.bearer = self._authenticate(request)
            except AuthenticationFailed as refusal:
                http_request.bearer = refusal
        if isinstance(http_request.bearer, AuthenticationFailed):
            raise http_request.bearer
        bearer: Bearer | None = http_request.bearer
        return bearer

    def _authenticate(self, request: HttpRequest | Request) -> Bearer | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, token = header.partition(" ")
        if not header:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed(
                "Send the access token as 'Authorization: Bearer <token>'.", code="unknown_scheme"
            )
        token = token.strip()
        if personal_tokens.is_personal_token(token):
            return self._by_access_token(token)
        return self._by_session(token)

    def _by_session(self, token: str) -> tuple[User, Session]:
        try:
            claims = jwt.read_access_token(token)
        except jwt.InvalidToken:
            raise _refused() from None
        now = timezone.now()
        session = WHOLE_SESSION.first(session=claims.session_id, user=claims.user_id, now=now)
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
        session.user.credential = f"session {session.pk}"
        return session.user, session

    def _by_access_token(self, secret: str) -> tuple[User, PersonalAccessToken]:
        now, digest = timezone.now(), personal_tokens.digest(secret)
        token = WHOLE_TOKEN.first(digest=digest, now=now) if digest else None
        if token is None:
            security_log.warning("token refused", extra={"event": "token_refused"})
            raise _refused()
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            PersonalAccessToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.user.limited_to_category = token.category
        token.user.credential = f"token {token.pk}"
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="CloudNotes"'


async def recognize(authorization: str, scope: str, fetch: Executor) -> User | None:
    """Return the user of an ``Authorization`` header, for the fast path.

    None if the token lacks the scope, and if :class:`BearerAuthentication` has to refuse it or to
    write ``last_seen_at`` or ``last_used_at``. Raises what ``fetch`` raises.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    token, now = token.strip(), timezone.now()
    if personal_tokens.is_personal_token(token):
        digest = personal_tokens.digest(token)
        rows = await fetch(TOKEN, digest=digest, now=now) if digest else []
        if not rows:
            return None
        pk, used_at, scopes, category, *of_user = rows[0]
        user = User.from_db("default", USER, of_user)
        user.limited_to_category, user.credential = category, f"token {pk}"
        is_used_now = used_at and now - used_at <= USED_EVERY
        return user if is_used_now and grants(scopes, scope) else None
    try:
        claims = jwt.read_access_token(token)
    except jwt.InvalidToken:
        return None
    rows = await fetch(SESSION, session=claims.session_id, user=claims.user_id, now=now)
    if not rows:
        return None
    seen_at, *of_user = rows[0]
    user = User.from_db("default", USER, of_user)
    user.credential = f"session {claims.session_id}"
    return user if now - seen_at <= SEEN_EVERY else None


def _refused() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The access token is not valid, has expired or was revoked. Refresh it or log in again.",
        code="invalid_token",
    )


def caller(request: HttpRequest | Request) -> User:
    """Return the user of a request that permissions, or the admin, have accepted."""
    assert isinstance(request.user, User)
    return request.user
