"""What happens to accounts."""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from accounts.actions import sessions
from accounts.models import Session, User
from cloudnotes.errors import DomainError

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


def register(
    *,
    email: str,
    password: str,
    username: str | None,
    full_name: str,
    user_agent: str,
    address: str,
    now: dt.datetime,
) -> Session:
    """Make an account and return its first session.

    Raises IntegrityError by ``one_account_per_email`` or ``one_account_per_username``, which the
    API answers as ``email_taken`` and ``username_taken``: the database decides, so that of many
    parallel registrations one wins.
    """
    user = User(full_name=full_name, created_at=now)
    user.set_identifiers(email=email, username=username)
    user.set_password(password)
    with transaction.atomic():
        user.save()
        session = sessions.open_session(user=user, user_agent=user_agent, address=address, now=now)
    security_log.info("registered", extra={"event": "registered", "user": user.pk})
    return session


def update_profile(*, user: User, changes: dict[str, Any]) -> User:
    """Set those of ``username`` and ``full_name`` that are in ``changes`` and return the user.

    Raises IntegrityError by ``one_account_per_username`` and :class:`AccountGone`.
    """
    fields = set(changes)
    with transaction.atomic():
        user = lock(user)
        if "full_name" in changes:
            user.full_name = changes["full_name"]
        if "username" in changes:
            user.set_identifiers(email=user.email, username=changes["username"])
            fields.add("username_folded")
        if fields:
            user.save(update_fields=fields)
    return user


def set_active(*, user: User, is_active: bool, by: User, now: dt.datetime) -> None:
    """Disable or enable an account; disabling ends its sessions, which enabling does not revive."""
    with transaction.atomic():
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        if not is_active:
            sessions.revoke_all(user=user, reason=Session.Reason.USER_DISABLED, now=now)
    event = "user_enabled" if is_active else "user_disabled"
    security_log.info(event, extra={"event": event, "user": user.pk, "by": by.pk})


def delete_own_account(*, user: User, password: str) -> None:
    """Delete the account of somebody who knows its password. Raises :class:`WrongPassword`."""
    if not user.check_password(password):
        raise WrongPassword
    delete(user=user, by=user)


def delete(*, user: User, by: User) -> None:
    """Delete an account with all that hangs on it.

    Rows go by the database's own cascade; what other apps keep outside the database is theirs to
    release (``BEFORE_USER_DELETE``), in the same transaction.
    """
    release: Callable[..., None] = import_string(settings.BEFORE_USER_DELETE)
    user_id, actor_id = user.pk, by.pk
    with transaction.atomic():
        lock(user)
        release(owner=user)
        user.delete()
    security_log.info(
        "user_deleted", extra={"event": "user_deleted", "user": user_id, "by": actor_id}
    )


def lock(user: User) -> User:
    """Return the user's row, locked until the transaction ends. Raises :class:`AccountGone`."""
    locked = User.objects.select_for_update().filter(pk=user.pk).first()
    if locked is None:
        raise AccountGone
    return locked
