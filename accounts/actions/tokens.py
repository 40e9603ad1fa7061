"""Personal access tokens: created and deleted."""

import datetime as dt
import logging

from django.db import transaction

from accounts import personal_tokens
from accounts.actions import credentials
from accounts.models import PersonalAccessToken, User
from cloudnotes.api.errors import DomainError

MOST = 100

security_log = logging.getLogger("cloudnotes.security")


class TooManyTokens(DomainError):
    """The account has ``MOST`` personal access tokens already."""

    status = 409
    code = "too_many_tokens"
    detail = f"An account has at most {MOST} personal access tokens. Delete one first."


def create_token(
    *,
    user: User,
    password: str,
    name: str,
    scopes: list[str],
    category: str,
    expires_at: dt.datetime | None,
    now: dt.datetime,
) -> tuple[PersonalAccessToken, str]:
    """Create a token; return its row and the token itself, which cannot be shown again.

    Raises :class:`accounts.actions.credentials.WrongPassword` and :class:`TooManyTokens`.
    """
    credentials.check_password(user=user, password=password)
    secret = personal_tokens.new_token()
    with transaction.atomic():
        locked = credentials.lock(user)
        if locked.password != user.password or not locked.is_active:
            raise credentials.WrongPassword
        if locked.personal_access_tokens.count() >= MOST:
            raise TooManyTokens
        token = PersonalAccessToken.objects.create(
            user=locked,
            name=name,
            digest=personal_tokens.digest(secret) or "",
            scopes=" ".join(sorted(set(scopes))),
            category=category,
            created_at=now,
            expires_at=expires_at,
        )
    _log("token_created", token)
    return token, secret


def delete_token(*, token: PersonalAccessToken) -> None:
    """Delete a token; the next request with it is refused."""
    PersonalAccessToken.objects.filter(pk=token.pk).delete()
    _log("token_deleted", token)


def _log(event: str, token: PersonalAccessToken) -> None:
    log_fields = {"event": event, "user": token.user_id, "token": token.pk, "scopes": token.scopes}
    security_log.info(event, extra=log_fields)
