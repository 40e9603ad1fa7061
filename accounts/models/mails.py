"""Mails: the queue of mails to send, and the state of the links and codes in them."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.users import FOLDED_LENGTH
from cloudnotes.db.constraints import ForeignKeyConstraint


class MailQuerySet(models.QuerySet["Mail"]):
    """Queries of mails; the state machine is described in ``accounts.actions.mails``."""

    def waiting(self) -> "MailQuerySet":
        """Return the mails that are neither sent nor given up."""
        return self.filter(sent_at=None, failed_at=None)

    def due(self, now: dt.datetime) -> "MailQuerySet":
        """Return the mails that a worker may lease now."""
        return self.waiting().filter(due_at__lte=now)

    def redeemable(self, now: dt.datetime) -> "MailQuerySet":
        """Return the mails whose link or code can still be redeemed."""
        return self.filter(used_at=None, valid_until__gt=now)


class Mail(models.Model):
    """One mail, kept for 30 days after its creation.

    Written in the transaction of the event that it reports, and sent by the worker. ``user`` is
    its recipient; it is empty if a request named an address without an account: the worker deletes
    such a mail, so that the request takes the same time in both cases. Dies with the user.

    The link and the code in a mail are derived from the row and ``SECRET_KEY``
    (``accounts.email_tokens``); they are redeemed once, from the sending until ``valid_until``.
    """

    class Kind(models.TextChoices):
        """The kind of a mail; each kind has two templates of this name."""

        VERIFY_EMAIL = "verify_email"
        CHANGE_EMAIL = "change_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105 - a kind of mail
        ALREADY_REGISTERED = "already_registered"
        EMAIL_CHANGED = "email_changed"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a kind of mail
        NEW_DEVICE = "new_device"
        TWO_FACTOR_CHANGED = "two_factor_changed"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="mails",
    )
    address = models.CharField(max_length=254)
    address_folded = models.CharField(max_length=FOLDED_LENGTH)
    details = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    wrong_codes = models.PositiveSmallIntegerField(default=0, db_default=0)

    objects = MailQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="mails_die_with_their_user"),
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(failed_at=None), name="sent_or_given_up_not_both"
            ),
        ]
        indexes = [
            # The mail that the worker leases next.
            models.Index(
                fields=["due_at", "id"],
                condition=Q(sent_at=None, failed_at=None),
                name="mails_by_due_time",
            ),
            # The mails whose codes are checked for an address.
            models.Index(fields=["address_folded", "-created_at"], name="mails_by_address"),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} ({self.kind}) to user {self.user_id}"
