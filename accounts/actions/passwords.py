"""Passwords: changed with the old password, or reset by mail."""

import datetime as dt
import logging

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.actions import credentials, mails, second_factors, sessions
from accounts.identifiers import fold_address
from accounts.models import Mail, Session, User

security_log = logging.getLogger("cloudnotes.security")


def change_password(
    *, user: User, password: str, new_password: str, user_agent: str, address: str, now: dt.datetime
) -> Session:
    """Set a new password, end all sessions and tokens of the old one, and return a new session.

    Raises :class:`accounts.actions.credentials.WrongPassword`.
    """
    credentials.check_password(user=user, password=password)
    hashed = make_password(new_password)
    with transaction.atomic():
        locked = credentials.lock(user)
        if locked.password != user.password:
            raise credentials.WrongPassword  # a parallel request has changed it
        _set(locked, hashed, now)
        return sessions.open_session(user=locked, user_agent=user_agent, address=address, now=now)


def request_reset(*, email: str, now: dt.datetime) -> None:
    """Send a mail with a link to choose a new password, if the address has an account.

    The mail goes to the address as the account stores it, which may differ from the typed one in
    case and Unicode form.
    """
    user = User.objects.filter(email_folded=fold_address(email), is_active=True).first()
    mails.enqueue(kind=Mail.Kind.RESET_PASSWORD, user=user, address="" if user else email, now=now)


def reset_password(*, token: str, new_password: str, now: dt.datetime) -> None:
    """Set a new password by the token of a mail, and end all sessions and tokens of the old one.

    The token verifies the address too. Raises :class:`accounts.actions.mails.LinkRefused`.
    """
    hashed = make_password(new_password)
    with transaction.atomic():
        mail, user = mails.redeem_token(token=token, kinds={Mail.Kind.RESET_PASSWORD}, now=now)
        if mail.address_folded == user.email_folded and not user.email_verified:
            user.email_verified_at = now
            user.save(update_fields=["email_verified_at"])
            # Somebody else than the reader of its mail may have registered the address.
            second_factors.reset(user=user, by=user, now=now)
        _set(user, hashed, now)


def note_change(*, user: User, now: dt.datetime) -> None:
    """End sessions and tokens, send the notice and log it, after any change of a password."""
    sessions.revoke_credentials(user=user, reason=Session.Reason.PASSWORD_CHANGED, now=now)
    mails.enqueue(kind=Mail.Kind.PASSWORD_CHANGED, user=user, now=now)
    security_log.info("password changed", extra={"event": "password_changed", "user": user.pk})


def _set(user: User, hashed: str, now: dt.datetime) -> None:
    user.password = hashed
    user.save(update_fields=["password"])
    note_change(user=user, now=now)
