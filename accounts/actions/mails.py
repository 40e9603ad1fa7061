"""The queue of mails: written with what they tell of, sent by the worker, redeemed once."""

import datetime as dt
import logging
import random
import time
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts import email_tokens, emails
from accounts.identifiers import fold
from accounts.models import Mail, User
from cloudnotes.api.errors import DomainError

LEASE = dt.timedelta(minutes=2)  # longer than a dialogue with a mail server can last
GIVEN_UP_AFTER = dt.timedelta(hours=24)
KEPT_FOR = dt.timedelta(days=30)
LONGEST_WAIT_SECONDS = 60
TIMEOUT_SECONDS = 60  # with a database that goes away between sending and noting it
MAILS_AN_HOUR = 5  # of a kind that strangers can cause, to one account
ASKED_FOR = {*emails.PAGES, Mail.Kind.ALREADY_REGISTERED}
LATE_AFTER = dt.timedelta(minutes=2)
CODE_ATTEMPTS = 50  # of 10**8 codes; one network has ten in a quarter of an hour

logger = logging.getLogger(__name__)


class LinkRefused(DomainError):
    """The token or code is wrong, used, too old, or made void by a change of the account."""

    code = "invalid_token"
    detail = "This link or code is not valid, was used before, or is too old. Ask for a new one."


def enqueue(
    *,
    kind: Mail.Kind,
    user: User | None,
    now: dt.datetime,
    address: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Have a mail sent, once the running transaction is committed.

    To ``address``, or else to the one that the user has. Without a user the row is written, so
    that it takes the same time, and the worker drops it.
    """
    to = address or (user.email if user else "")
    Mail.objects.create(
        kind=kind,
        user=user,
        address=to,
        address_folded=fold(to),
        details=details or {},
        created_at=now,
        due_at=now,
    )


def send_due() -> bool:
    """Send the mail that has waited longest; return whether to look for the next one at once.

    A worker's job. A mail is taken for ``LEASE``: a worker that is killed with it in its hands
    leaves it to the next one. A mail server may then get it twice, with the same Message-ID.
    """
    if not settings.EMAIL_IS_ON:
        return False
    mail = _claim(timezone.now())
    if mail is None:
        return False
    claimed = Mail.objects.filter(pk=mail.pk, attempts=mail.attempts).waiting()
    if not _is_wanted(mail, timezone.now()):
        claimed.delete()
        return True
    if timezone.now() - mail.created_at > GIVEN_UP_AFTER:
        claimed.update(failed_at=timezone.now())
        logger.error("mail given up", extra={"mail": mail.pk, "kind": mail.kind})
        return True
    log_fields = {
        "mail": mail.pk,
        "kind": mail.kind,
        "user": mail.user_id,
        "attempts": mail.attempts,
    }
    try:
        emails.send(mail)
    except emails.Undeliverable as error:
        claimed.update(failed_at=timezone.now())
        logger.error("mail refused: %s", error, extra=log_fields)
        return True
    except emails.ServerGone as error:
        claimed.update(due_at=timezone.now() + _wait(mail.attempts))
        logger.warning("mail waits: %s", error, extra=log_fields)
        return False
    _note_sent(claimed)
    logger.info("mail sent", extra=log_fields)
    return True


def _note_sent(claimed: QuerySet[Mail]) -> None:
    """Write down that a mail was taken, whatever befalls the database: else it would go twice."""
    for _ in range(TIMEOUT_SECONDS):
        try:
            claimed.update(sent_at=timezone.now())
        except Error:
            connection.close()
            time.sleep(1)
        else:
            return
    claimed.update(sent_at=timezone.now())


def send_again(*, mail: Mail, now: dt.datetime) -> None:
    """Have a mail that was given up tried again for a day; its link is another one then."""
    given_up = Mail.objects.filter(pk=mail.pk).exclude(failed_at=None)
    given_up.update(failed_at=None, attempts=0, due_at=now, created_at=now)


def forget_old() -> None:
    """Delete the mails of more than a month ago; a worker's job."""
    Mail.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()


def redeem_token(*, token: str, kinds: set[Mail.Kind], now: dt.datetime) -> tuple[Mail, User]:
    """Use up the mail that a link's token came in; return it with its user, locked.

    To be called in the transaction that does what the mail was sent for. Of parallel callers one
    gets it. Raises :class:`LinkRefused`.
    """
    mail_id = email_tokens.mail_id(token)
    mail = Mail.objects.filter(pk=mail_id, kind__in=kinds).first() if mail_id else None
    if mail is None or not email_tokens.is_token(mail, token):
        raise LinkRefused
    return _redeem(mail, now)


def spend_code(*, address: str, code: str, kinds: set[Mail.Kind], now: dt.datetime) -> Mail:
    """Count an attempt at the codes sent to an address; return the mail that has this code.

    Each mail's code is good for ``CODE_ATTEMPTS`` attempts, wrong or right, from anywhere; the
    count is committed whatever happens then. Raises :class:`LinkRefused`.
    """
    with transaction.atomic():
        candidates = list(
            Mail.objects.redeemable(now)
            .filter(address_folded=fold(address), kind__in=kinds, wrong_codes__lt=CODE_ATTEMPTS)
            .select_for_update()
            .order_by("pk")
        )
        attempted = Mail.objects.filter(pk__in=[mail.pk for mail in candidates])
        attempted.update(wrong_codes=F("wrong_codes") + 1)
    for mail in candidates:
        if email_tokens.is_code(mail, code):
            return mail
    raise LinkRefused


def redeem_mail(*, mail: Mail, now: dt.datetime) -> tuple[Mail, User]:
    """Use up a mail whose code :func:`spend_code` has found right; as :func:`redeem_token`."""
    return _redeem(mail, now)


def void_links(*, user: User, now: dt.datetime) -> None:
    """Make every link and code on its way to a user worthless."""
    open_links = Mail.objects.filter(user=user, used_at=None, kind__in=list(emails.PAGES))
    # Locked in the order in which everybody locks them; an UPDATE takes its own.
    ids = list(open_links.order_by("pk").select_for_update().values_list("pk", flat=True))
    Mail.objects.filter(pk__in=ids).update(used_at=now)


def _redeem(mail: Mail, now: dt.datetime) -> tuple[Mail, User]:
    # The user first, as everywhere: two orders of locking would be a deadlock.
    active_users = User.objects.select_for_update().filter(is_active=True)
    user = active_users.filter(pk=mail.user_id).first() if mail.user_id else None
    if user is None or not Mail.objects.redeemable(now).filter(pk=mail.pk).update(used_at=now):
        raise LinkRefused
    return mail, user


def _claim(now: dt.datetime) -> Mail | None:
    if not Mail.objects.due(now).exists():
        return None  # an empty queue is looked at without a lock, which SQLite has only one of
    with transaction.atomic():
        mail = (
            Mail.objects.due(now)
            .select_for_update(skip_locked=True)
            .order_by("due_at", "pk")
            .first()
        )
        if mail is None:
            return None
        mail.attempts += 1
        mail.due_at = now + LEASE
        mail.valid_until = now + emails.LINK_LIFETIME
        mail.save(update_fields=["attempts", "due_at", "valid_until"])
    return mail


def _is_wanted(mail: Mail, now: dt.datetime) -> bool:
    """Return whether a mail is to be sent: it has somebody, is not void and not one too many."""
    if mail.user_id is None or mail.used_at is not None:
        return False
    if mail.kind not in ASKED_FOR:
        return True
    others: QuerySet[Mail] = Mail.objects.filter(
        user_id=mail.user_id, kind=mail.kind, sent_at__gt=now - dt.timedelta(hours=1)
    )
    return others.count() < MAILS_AN_HOUR


def _wait(attempts: int) -> dt.timedelta:
    """Return how long to wait after so many attempts: 5 s at first, a minute at most, scattered."""
    seconds = min(5 * 2 ** (attempts - 1), LONGEST_WAIT_SECONDS) if attempts < 9 else 60
    return dt.timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def get_health() -> str:
    """Return whether mail leaves: late means that no worker runs or that no server takes it."""
    if not settings.EMAIL_IS_ON:
        return "not used"
    late = Mail.objects.waiting().filter(created_at__lt=timezone.now() - LATE_AFTER)
    return "late" if late.exists() else "ok"
