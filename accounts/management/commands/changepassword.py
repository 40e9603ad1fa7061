"""``changepassword``: Django's, and the account's sessions end."""

from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand
from django.core.management import CommandError
from django.utils import timezone

from accounts.actions import passwords
from accounts.models import User


class Command(DjangoCommand):
    """A new password from the console ends what was logged in with the old one."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        try:
            user = User.objects.get_by_natural_key(options["username"])
        except User.DoesNotExist:
            raise CommandError("Name the account by its e-mail address.") from None
        output: str | None = super().handle(*args, **{**options, "username": user.email})
        passwords.note_change(user=user, now=timezone.now())
        return output
