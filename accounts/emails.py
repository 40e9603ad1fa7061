"""Makes a message of a row of the queue and sends it to the mail server."""

import datetime as dt
import smtplib
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from accounts import email_tokens
from accounts.models import Mail
from cloudnotes.api import key_derivation

LINK_LIFETIME = dt.timedelta(minutes=60)
SUBJECTS = {
    Mail.Kind.VERIFY_EMAIL: "Confirm your e-mail address",
    Mail.Kind.CHANGE_EMAIL: "Confirm your new e-mail address",
    Mail.Kind.RESET_PASSWORD: "Choose a new password",
    Mail.Kind.ALREADY_REGISTERED: "You have an account already",
    Mail.Kind.EMAIL_CHANGED: "Your e-mail address was changed",
    Mail.Kind.PASSWORD_CHANGED: "Your password was changed",
    Mail.Kind.NEW_DEVICE: "A log-in from a new device",
    Mail.Kind.TWO_FACTOR_CHANGED: "Your two-factor log-in was changed",
}
PAGES = {
    Mail.Kind.VERIFY_EMAIL: "/account/verify-email",
    Mail.Kind.CHANGE_EMAIL: "/account/verify-email",
    Mail.Kind.RESET_PASSWORD: "/account/reset-password",
}


class Undeliverable(Exception):
    """The mail server has refused this mail permanently."""


class ServerGone(Exception):
    """The mail server cannot be reached, or does not accept mail at the moment."""


def send(mail: Mail) -> None:
    """Send a mail to the server that ``EMAIL_URL`` names.

    Raises :class:`Undeliverable` if the server refuses it permanently (RFC 5321, 4.2.1: a reply of
    5yz to its recipient or text) and :class:`ServerGone` for every other failure, after which a
    retry may succeed.
    """
    message = _message(mail)
    try:
        with get_connection() as connection:
            connection.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if all(code >= 500 for code in codes):
            raise Undeliverable(f"recipient refused with {codes}") from None
        raise ServerGone(f"recipient put off with {codes}") from None
    except smtplib.SMTPDataError as error:
        if error.smtp_code >= 500:
            raise Undeliverable(f"text refused with {error.smtp_code}") from None
        raise ServerGone(f"text put off with {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise ServerGone(type(error).__name__) from None
    except ValueError as error:  # an address that no header can hold
        raise Undeliverable(type(error).__name__) from None


def _message(mail: Mail) -> EmailMultiAlternatives:
    context = _context(mail)
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    # The same for every attempt, so that a mail which was sent twice is recognized as one.
    message_id = key_derivation.derive("mail.id", mail.pk, mail.created_at.isoformat()).hex()[:32]
    message = EmailMultiAlternatives(
        subject=f"{SUBJECTS[Mail.Kind(mail.kind)]} · CloudNotes",
        body=render_to_string(f"mail/{mail.kind}.txt", context).strip() + "\n",
        to=[mail.address],
        headers={"Message-ID": f"<{message_id}@{domain}>", "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string(f"mail/{mail.kind}.html", context), "text/html")
    return message


def _context(mail: Mail) -> dict[str, Any]:
    context = {"mail": mail, "base_url": settings.PUBLIC_BASE_URL, "details": mail.details}
    if page := PAGES.get(Mail.Kind(mail.kind)):
        context["minutes"] = int(LINK_LIFETIME.total_seconds() // 60)
        context["code"] = email_tokens.code(mail)
        # After the #, so that no server, proxy or log sees it. It needs no escaping.
        link = f"{settings.PUBLIC_BASE_URL}{page}#{email_tokens.token(mail)}"
        context["link"] = mark_safe(link)  # noqa: S308 - the operator's address and our own token
    return context
