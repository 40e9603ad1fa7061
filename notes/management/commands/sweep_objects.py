"""``sweep_objects``: deletes the stored objects that a crash or an outage left behind."""

import math
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from notes.files import objects
from notes.files.storage import StorageUnavailable


class Command(BaseCommand):
    """Runs before the server starts, and whenever an operator starts it; it can be repeated."""

    help = "Delete stored objects that nothing points at any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--patience", type=float, default=math.inf, help="End after about so many seconds."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deleted = objects.sweep(now=timezone.now(), patience=options["patience"])
        except StorageUnavailable:
            self.stderr.write("The storage does not answer; the objects stay for the next sweep.")
            return
        self.stdout.write(f"{deleted} objects deleted.")
