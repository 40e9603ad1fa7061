"""The row of an account and its password: what is checked and locked before either changes."""

import logging

from accounts.models import User
from cloudnotes.api.errors import DomainError

security_log = logging.getLogger("cloudnotes.security")


class AccountGone(DomainError):
    """The account was deleted between the look and the lock."""

    status = 401
    code = "invalid_token"
    detail = "The account of this access token is gone."


class WrongPassword(DomainError):
    """A change that asks for the current password came with another one."""

    status = 403
    code = "wrong_password"
    detail = "The password is not the one of this account. Nothing was changed."
    field = "password"


def check_password(*, user: User, password: str) -> None:
    """Make sure that a user knows their own password. Raises :class:`WrongPassword`."""
    if not user.check_password(password):
        security_log.warning(
            "password refused", extra={"event": "password_refused", "user": user.pk}
        )
        raise WrongPassword


def lock(user: User) -> User:
    """Return the user as they are now, the row locked. Raises :class:`AccountGone`."""
    locked = User.objects.select_for_update().filter(pk=user.pk).first()
    if locked is None:
        raise AccountGone
    return locked
