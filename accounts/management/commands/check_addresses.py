"""``check_addresses``: names the accounts whose address is not in the one form that is kept."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from accounts.identifiers import InvalidAddress, canonical_address, fold
from accounts.models import User
from cloudnotes.db.streaming import streamed


class Command(BaseCommand):
    """Changes nothing. A migration has rewritten all addresses that could be."""

    help = (
        "Name accounts whose address cannot be kept in its one form. Ends with 1 if there are any."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        number = 0
        with streamed(User.objects.order_by("pk")) as users:
            for user in users:
                if reason := _fault(user):
                    number += 1
                    self.stdout.write(f"{user.pk} {user.email}: {reason}")
        self.stdout.write(f"{number} accounts have such an address.")
        if number:
            sys.exit(1)


def _fault(user: User) -> str:
    """Return what is wrong with the address of an account, ``''`` if nothing is."""
    try:
        address = canonical_address(user.email)
    except InvalidAddress as error:
        return str(error)
    if (user.email, user.email_folded) == (address, fold(address)):
        return ""
    other = User.objects.filter(email_folded=fold(address)).exclude(pk=user.pk).first()
    return f"the same mailbox as account {other.pk}" if other else f"it would be {address}"
