"""``resync_clients``: after a backup was restored, make every client begin anew."""

from typing import Any

from django.core.management.base import BaseCommand

from notes import sync
from notes.actions.sync import start_generation


class Command(BaseCommand):
    """Says what a restored database cannot know of itself: that it was restored.

    A cursor that is ahead of its feed tells it too, but only once a client comes with one.
    """

    help = "Make every client of the change feed begin anew; run it after restoring a backup."

    def handle(self, *args: Any, **options: Any) -> None:
        start_generation(instead_of=sync.get_generation())
        self.stdout.write("Every client will be told to begin anew with its next sync.")
