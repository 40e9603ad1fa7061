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
from accounts.callers import Caller
from accounts.models import PersonalAccessToken, Session, User
from accounts.models.sessions import SessionQuerySet
from accounts.models.tokens import PersonalAccessTokenQuerySet
from cloudnotes.db.compiled_queries import Executor, InstanceQuery, Parameter, Query

security_log = logging.getLogger("cloudnotes.security")

SEEN_EVERY = dt.timedelta(minutes=15)
USED_EVERY = dt.timedelta(minutes=1)

Bearer = tuple[User, Caller]

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

    ``request.auth`` is the :class:`Caller`. The session, or the row of the personal access token,
    is read together with its user, in one query per request, so revoking it or disabling the user
    affects the very next request. The result is stored on the request: a middleware and then the
    view get the same one.
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
            caller = self._by_personal_token(token)
        else:
            caller = self._by_session(token)
        return caller.user, caller

    def _by_session(self, token: str) -> Caller:
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
        return Caller.with_session(session.user, session.pk)

    def _by_personal_token(self, secret: str) -> Caller:
        now, digest = timezone.now(), personal_tokens.digest(secret)
        token = WHOLE_TOKEN.first(digest=digest, now=now) if digest else None
        if token is None:
            security_log.warning("token refused", extra={"event": "token_refused"})
            raise _refused()
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            PersonalAccessToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return Caller.with_token(token.user, token.pk, scopes=token.scopes, category=token.category)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="CloudNotes"'


async def recognize(authorization: str, scope: str, fetch: Executor) -> Caller | None:
    """Return the caller of an ``Authorization`` header, for the fast path.

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
        caller = Caller.with_token(user, pk, scopes=scopes, category=category)
        is_used_now = used_at and now - used_at <= USED_EVERY
        return caller if is_used_now and caller.has_scope(scope) else None
    try:
        claims = jwt.read_access_token(token)
    except jwt.InvalidToken:
        return None
    rows = await fetch(SESSION, session=claims.session_id, user=claims.user_id, now=now)
    if not rows:
        return None
    seen_at, *of_user = rows[0]
    user = User.from_db("default", USER, of_user)
    is_seen_now = now - seen_at <= SEEN_EVERY
    return Caller.with_session(user, claims.session_id) if is_seen_now else None


def _refused() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The access token is not valid, has expired or was revoked. Refresh it or log in again.",
        code="invalid_token",
    )
