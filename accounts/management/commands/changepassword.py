"""``changepassword``: Django's command, which also ends the account's sessions."""

from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand
from django.core.management import CommandError
from django.utils import timezone

from accounts.actions import passwords
from accounts.models import User


class Command(DjangoCommand):
    """Sets a password from the console and ends all sessions and tokens of the old one."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        try:
            user = User.objects.get_by_natural_key(options["username"])
        except User.DoesNotExist:
            raise CommandError("Name the account by its e-mail address.") from None
        output: str | None = super().handle(*args, **{**options, "username": user.email})
        passwords.note_change(user=user, now=timezone.now())
        return output
