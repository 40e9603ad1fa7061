"""Checks of an account's password, and the lock of its row, before a change."""

import logging

from accounts.models import User
from cloudnotes.api.errors import DomainError

security_log = logging.getLogger("cloudnotes.security")


class AccountGone(DomainError):
    """The account was deleted between the first query and the lock."""

    status = 401
    code = "invalid_token"
    detail = "The account of this access token is gone."


class WrongPassword(DomainError):
    """A change needs the current password and came with another one."""

    status = 403
    code = "wrong_password"
    detail = "The password is not the one of this account. Nothing was changed."
    field = "password"


def check_password(*, user: User, password: str) -> None:
    """Raise :class:`WrongPassword` unless this is the user's password."""
    if not user.check_password(password):
        security_log.warning(
            "password refused", extra={"event": "password_refused", "user": user.pk}
        )
        raise WrongPassword


def lock(user: User) -> User:
    """Read the user's row again, lock it and return it. Raises :class:`AccountGone`."""
    locked = User.objects.select_for_update().filter(pk=user.pk).first()
    if locked is None:
        raise AccountGone
    return locked
