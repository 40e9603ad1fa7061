"""``resync_clients``: makes every client sync from the beginning after a restored backup."""

from typing import Any

from django.core.management.base import BaseCommand

from notes import sync
from notes.actions.sync import start_generation


class Command(BaseCommand):
    """Records that the database was restored, which the database itself cannot know.

    A cursor that is ahead of its feed shows it too, but only when a client sends such a cursor.
    """

    help = "Make every client of the change feed begin anew; run it after restoring a backup."

    def handle(self, *args: Any, **options: Any) -> None:
        start_generation(instead_of=sync.get_generation())
        self.stdout.write("Every client will be told to begin anew with its next sync.")
