"""E-mail addresses: verified and changed."""

import datetime as dt
import logging

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.actions import credentials, mails, second_factors, sessions
from accounts.identifiers import fold_address
from accounts.models import Mail, Session, User
from cloudnotes.api.errors import DomainError

KINDS = {Mail.Kind.VERIFY_EMAIL, Mail.Kind.CHANGE_EMAIL}

security_log = logging.getLogger("cloudnotes.security")


class PasswordNeeded(DomainError):
    """A first verification lacks the password that ``EMAIL_VERIFICATION=required`` asks for."""

    code = "password_needed"
    detail = "Send the password to log in with too: whoever reads the mail chooses it."
    field = "password"


def verify_by_token(*, token: str, password: str | None, now: dt.datetime) -> User:
    """Verify the address of the mail with this token: see :func:`_verify`."""
    hashed = make_password(password) if password else None
    with transaction.atomic():
        return _verify(*mails.redeem_token(token=token, kinds=KINDS, now=now), hashed, now)


def verify_by_code(*, address: str, code: str, password: str | None, now: dt.datetime) -> User:
    """Verify ``address`` by the code in a mail to it: see :func:`_verify`."""
    mail = mails.spend_code(address=address, code=code, kinds=KINDS, now=now)
    hashed = make_password(password) if password else None
    with transaction.atomic():
        return _verify(*mails.redeem_mail(mail=mail, now=now), hashed, now)


def _verify(mail: Mail, user: User, hashed: str | None, now: dt.datetime) -> User:
    """Mark the mail's address as verified; for a change of address, set it first. Return the user.

    All links and codes of earlier mails become void. After a change the old address gets a notice.
    With ``EMAIL_VERIFICATION=required`` a first verification sets the password, because anybody may
    have registered the address: sessions and tokens of the old password end, and the second factor
    is removed.

    Raises :class:`PasswordNeeded`, :class:`accounts.actions.mails.LinkRefused`, and IntegrityError
    by ``one_account_per_email`` when somebody else has taken the address meanwhile.
    """
    old_address = user.email
    is_change = mail.kind == Mail.Kind.CHANGE_EMAIL
    if not is_change and mail.address_folded != user.email_folded:
        raise mails.LinkRefused
    if is_change:
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
    if is_change:
        mails.enqueue(
            kind=Mail.Kind.EMAIL_CHANGED,
            user=user,
            address=old_address,
            details={"email": user.email},
            now=now,
        )
    event = "email_changed" if is_change else "email_verified"
    security_log.info(event, extra={"event": event, "user": user.pk})
    return user


def note_change(*, user: User, before: str, now: dt.datetime) -> None:
    """Handle a change of address by staff: mark it as not verified and mail both addresses."""
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
    """Send the verification mail again, if the address has an account that is not verified."""
    user = User.objects.filter(email_folded=fold_address(email), is_active=True).first()
    recipient = user if user and not user.email_verified else None
    address = "" if recipient else email
    mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=recipient, address=address, now=now)


def request_change(*, user: User, password: str, email: str, now: dt.datetime) -> None:
    """Send a mail to the new address of a user; the link or code in it makes the change.

    If the address has an account already, the mail says that instead; the caller cannot see the
    difference. Raises :class:`accounts.actions.credentials.WrongPassword`.
    """
    credentials.check_password(user=user, password=password)
    owner = User.objects.filter(email_folded=fold_address(email)).exclude(pk=user.pk).first()
    if owner:
        mails.enqueue(kind=Mail.Kind.ALREADY_REGISTERED, user=owner, now=now)
    else:
        mails.enqueue(kind=Mail.Kind.CHANGE_EMAIL, user=user, address=email, now=now)
