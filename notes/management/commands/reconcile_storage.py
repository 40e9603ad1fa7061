"""``reconcile_storage``: compares the stored files with the database and repairs what it can."""

import datetime as dt
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone

from notes.actions import uploads
from notes.files import reconciling
from notes.files.storage import StorageUnavailable
from notes.models import Note, StoredObject


class Command(BaseCommand):
    """Can run while the service runs, any number of times; the worker runs it once a day."""

    help = (
        "Delete stored objects without a row, drop unfinished uploads, and name what is lost or "
        "wrong. Ends with 1 if something is lost or wrong, or if --dry-run found anything."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Change nothing.")
        parser.add_argument(
            "--verify", action="store_true", help="Read every object and compare its checksum."
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=reconciling.GRACE.total_seconds(),
            help="Leave what is younger than so many seconds.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            while not options["dry_run"] and uploads.forget_due():
                pass
            report = reconciling.reconcile(
                now=timezone.now(),
                dry_run=options["dry_run"],
                verify=options["verify"],
                grace=dt.timedelta(seconds=options["grace"]),
            )
        except StorageUnavailable:
            raise CommandError("The storage does not answer.", returncode=2) from None
        for label, keys in (("lost", report.lost), ("wrong", report.wrong)):
            for key in keys:
                self.stdout.write(f"{label}: {key} ({self._users_of(key)})")
        action = "would be deleted" if options["dry_run"] else "deleted"
        for key in report.orphans:
            self.stdout.write(f"without a row, {action}: {key}")
        for key in report.unfinished:
            self.stdout.write(f"unfinished upload, {action}: {key}")
        for key in report.stuck:
            self.stdout.write(f"cannot be deleted: {key}")
        self.stdout.write(str(report))
        if not report.is_whole or (options["dry_run"] and not report.is_clean):
            sys.exit(1)

    def _users_of(self, key: str) -> str:
        """Return a text that names the notes that refer to an object, now or in their history."""
        stored = StoredObject.objects.filter(key=key)
        refers = Q(attachments__object__in=stored) | Q(revisions__kept_files__object__in=stored)
        notes = Note.objects.filter(refers).distinct().order_by("pk").values_list("pk", flat=True)
        ids = ", ".join(map(str, notes[:20]))
        return f"of notes {ids}" if ids else "of no note"
