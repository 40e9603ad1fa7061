"""E-mail addresses: proven to be somebody's, and changed."""

import datetime as dt
import logging

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.actions import credentials, mails, second_factors, sessions
from accounts.identifiers import fold
from accounts.models import Mail, Session, User
from cloudnotes.api.errors import DomainError

KINDS = {Mail.Kind.VERIFY_EMAIL, Mail.Kind.CHANGE_EMAIL}

security_log = logging.getLogger("cloudnotes.security")


class PasswordNeeded(DomainError):
    """An address is confirmed for the first time where log-ins need that."""

    code = "password_needed"
    detail = "Send the password to log in with too: whoever reads the mail chooses it."
    field = "password"


def verify_by_token(*, token: str, password: str | None, now: dt.datetime) -> User:
    """Do what the mail with this token asked for: see :func:`_verify`."""
    hashed = make_password(password) if password else None
    with transaction.atomic():
        return _verify(*mails.redeem_token(token=token, kinds=KINDS, now=now), hashed, now)


def verify_by_code(*, address: str, code: str, password: str | None, now: dt.datetime) -> User:
    """Do what the mail to ``address`` with this code asked for: see :func:`_verify`."""
    mail = mails.spend_code(address=address, code=code, kinds=KINDS, now=now)
    hashed = make_password(password) if password else None
    with transaction.atomic():
        return _verify(*mails.redeem_mail(mail=mail, now=now), hashed, now)


def _verify(mail: Mail, user: User, hashed: str | None, now: dt.datetime) -> User:
    """Note that the mail's address is the user's, after making it theirs if that was asked for.

    The links and codes of all earlier mails are void then. After a change the address before it is
    told. With ``EMAIL_VERIFICATION=required`` a first confirmation sets the password, since nobody
    knows who registered the address; what was open by another one ends.

    Raises :class:`PasswordNeeded`, :class:`accounts.actions.mails.LinkRefused`, and IntegrityError
    by ``one_account_per_email`` when somebody else has taken the address meanwhile.
    """
    before = user.email
    changes = mail.kind == Mail.Kind.CHANGE_EMAIL
    if not changes and mail.address_folded != user.email_folded:
        raise mails.LinkRefused
    if changes:
        user.set_identifiers(email=mail.address, username=user.username)
    elif settings.EMAIL_VERIFICATION == "required" and not user.email_verified:
        if hashed is None:
            raise PasswordNeeded
        user.password = hashed
        reason = Session.Reason.PASSWORD_CHANGED
        sessions.revoke_credentials(user=user, reason=reason, now=now)
        second_factors.reset(user=user, by=user, now=now)
    user.email_verified_at = now
    user.save(update_fields=["email", "email_folded", "password", "email_verified_at"])
    mails.void_links(user=user, now=now)
    if changes:
        mails.enqueue(
            kind=Mail.Kind.EMAIL_CHANGED,
            user=user,
            address=before,
            details={"email": user.email},
            now=now,
        )
    event = "email_changed" if changes else "email_verified"
    security_log.info(event, extra={"event": event, "user": user.pk})
    return user


def note_change(*, user: User, before: str, now: dt.datetime) -> None:
    """Do what a change of the address by staff entails: nobody has read mail at the new one yet."""
    user.email_verified_at = None
    user.save(update_fields=["email_verified_at"])
    mails.void_links(user=user, now=now)
    mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=user, now=now)
    mails.enqueue(
        kind=Mail.Kind.EMAIL_CHANGED,
        user=user,
        address=before,
        details={"email": user.email},
        now=now,
    )
    security_log.info("email changed", extra={"event": "email_changed", "user": user.pk})


def resend_verification(*, email: str, now: dt.datetime) -> None:
    """Send the mail that asks to confirm an address again, if it has an account that needs it."""
    user = User.objects.filter(email_folded=fold(email), is_active=True).first()
    recipient = user if user and not user.email_verified else None
    address = "" if recipient else email
    mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=recipient, address=address, now=now)


def request_change(*, user: User, password: str, email: str, now: dt.datetime) -> None:
    """Send a mail to the address that a user wants to have; reading it makes the change.

    An address that has an account is told so instead, and whoever asked learns nothing. Raises
    :class:`accounts.actions.credentials.WrongPassword`.
    """
    credentials.check_password(user=user, password=password)
    owner = User.objects.filter(email_folded=fold(email)).exclude(pk=user.pk).first()
    if owner:
        mails.enqueue(kind=Mail.Kind.ALREADY_REGISTERED, user=owner, now=now)
    else:
        mails.enqueue(kind=Mail.Kind.CHANGE_EMAIL, user=user, address=email, now=now)
