"""The queue of mails, and the links and codes in them.

A row of ``Mail`` is written in the transaction of the event that it reports (a transactional
outbox). Its delivery is this state machine::

    waiting --> leased --> sent       the mail server has accepted it (sent_at)
       ^           |-----> given up   refused for good, or 24 hours old (failed_at)
       |           |-----> deleted    no user, void, or one too many within an hour
       +-----------+ retry            no answer from the server, or the worker died

- *waiting*: ``sent_at`` and ``failed_at`` are empty and ``due_at`` has passed, or will pass.
- *leased*: a worker has claimed the row with ``SKIP LOCKED``, has counted an attempt and has moved
  ``due_at`` to the end of ``LEASE``. If the worker dies, the lease ends and another worker retries:
  delivery is at least once.
- ``send_again`` moves a mail from *given up* back to *waiting*.

The link and the code of a mail have a state of their own: redeemable from the lease until
``valid_until``, and redeemed once (``used_at``). ``void_links`` marks them as used without
redeeming them.
"""

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
from accounts.identifiers import fold_address
from accounts.models import Mail, User
from cloudnotes.api.errors import DomainError

LEASE = dt.timedelta(minutes=2)  # longer than one delivery to a mail server can take
GIVEN_UP_AFTER = dt.timedelta(hours=24)
KEPT_FOR = dt.timedelta(days=30)
LONGEST_WAIT_SECONDS = 60
TIMEOUT_SECONDS = 60  # for a database that fails between the delivery and the write of sent_at
MAILS_AN_HOUR = 5  # to one account, of each kind that strangers can trigger
ASKED_FOR = {*emails.PAGES, Mail.Kind.ALREADY_REGISTERED}
LATE_AFTER = dt.timedelta(minutes=2)
CODE_ATTEMPTS = 50  # at 10**8 possible codes; one network may try ten in 15 minutes

logger = logging.getLogger(__name__)


class LinkRefused(DomainError):
    """The token or code is wrong, used, expired, or void after a change of the account."""

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
    """Add a mail to the queue; it is sent after the running transaction is committed.

    ``address`` defaults to the user's. Without a user the row is written too, so that the call
    takes the same time, and the worker deletes it.
    """
    recipient = address or (user.email if user else "")
    Mail.objects.create(
        kind=kind,
        user=user,
        address=recipient,
        address_folded=fold_address(recipient),
        details=details or {},
        created_at=now,
        due_at=now,
    )


def send_due() -> bool:
    """Send the mail that is due longest; return whether to look for the next one at once.

    A worker's job. It leases a mail for ``LEASE``. If the worker is killed during the delivery,
    another worker retries after that. The mail server may then get the mail twice, with the same
    Message-ID.
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
    """Store ``sent_at``; retry while the database fails, or the mail would be sent twice."""
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
    """Retry a mail that was given up for another 24 hours; it gets a new link and code."""
    given_up = Mail.objects.filter(pk=mail.pk).exclude(failed_at=None)
    given_up.update(failed_at=None, attempts=0, due_at=now, created_at=now)


def forget_old() -> None:
    """Delete the mails that are older than ``KEPT_FOR``; a worker's job."""
    Mail.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()


def redeem_token(*, token: str, kinds: set[Mail.Kind], now: dt.datetime) -> tuple[Mail, User]:
    """Redeem the token of a link; return the mail and its user, locked.

    Call it in the transaction that makes the change which the mail was sent for. Of parallel calls
    one succeeds. Raises :class:`LinkRefused`.
    """
    mail_id = email_tokens.mail_id(token)
    mail = Mail.objects.filter(pk=mail_id, kind__in=kinds).first() if mail_id else None
    if mail is None or not email_tokens.is_token(mail, token):
        raise LinkRefused
    return _redeem(mail, now)


def spend_code(*, address: str, code: str, kinds: set[Mail.Kind], now: dt.datetime) -> Mail:
    """Count an attempt at the codes sent to an address; return the mail that has this code.

    Each mail's code accepts ``CODE_ATTEMPTS`` attempts, wrong or right, from all networks together.
    The count is committed before the code is compared. Raises :class:`LinkRefused`.
    """
    with transaction.atomic():
        candidates = list(
            Mail.objects.redeemable(now)
            .filter(
                address_folded=fold_address(address), kind__in=kinds, wrong_codes__lt=CODE_ATTEMPTS
            )
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
    """Redeem a mail whose code :func:`spend_code` has accepted, like :func:`redeem_token`."""
    return _redeem(mail, now)


def void_links(*, user: User, now: dt.datetime) -> None:
    """Mark every open link and code of a user as used."""
    open_links = Mail.objects.filter(user=user, used_at=None, kind__in=list(emails.PAGES))
    # Rows are locked by ascending id, as everywhere; an UPDATE alone locks in any order.
    ids = list(open_links.order_by("pk").select_for_update().values_list("pk", flat=True))
    Mail.objects.filter(pk__in=ids).update(used_at=now)


def _redeem(mail: Mail, now: dt.datetime) -> tuple[Mail, User]:
    # Lock the user first, as everywhere: a second lock order could cause a deadlock.
    active_users = User.objects.select_for_update().filter(is_active=True)
    user = active_users.filter(pk=mail.user_id).first() if mail.user_id else None
    if user is None or not Mail.objects.redeemable(now).filter(pk=mail.pk).update(used_at=now):
        raise LinkRefused
    return mail, user


def _claim(now: dt.datetime) -> Mail | None:
    if not Mail.objects.due(now).exists():
        return None  # an empty queue needs no write lock, of which SQLite has only one
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
    """Return whether to send a mail: it has a user, is not void and is within the hourly limit."""
    if mail.user_id is None or mail.used_at is not None:
        return False
    if mail.kind not in ASKED_FOR:
        return True
    others: QuerySet[Mail] = Mail.objects.filter(
        user_id=mail.user_id, kind=mail.kind, sent_at__gt=now - dt.timedelta(hours=1)
    )
    return others.count() < MAILS_AN_HOUR


def _wait(attempts: int) -> dt.timedelta:
    """Return the pause before the next attempt: exponential, 5 s to 60 s, with 20 % of jitter."""
    seconds = min(5 * 2 ** (attempts - 1), LONGEST_WAIT_SECONDS) if attempts < 9 else 60
    return dt.timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def get_health() -> str:
    """Return whether mail is sent: late means that no worker runs or no server accepts it."""
    if not settings.EMAIL_IS_ON:
        return "not used"
    late = Mail.objects.waiting().filter(created_at__lt=timezone.now() - LATE_AFTER)
    return "late" if late.exists() else "ok"
