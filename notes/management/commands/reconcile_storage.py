"""``reconcile_storage``: hold the stored files against the database, and put right what can be."""

import datetime as dt
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone

from notes.actions import reconciling
from notes.files.storage import StorageUnavailable
from notes.models import Note, StoredObject


class Command(BaseCommand):
    """May run while the service does, as often as one likes; the worker runs it once a day."""

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
            report = reconciling.reconcile(
                now=timezone.now(),
                dry_run=options["dry_run"],
                verify=options["verify"],
                grace=dt.timedelta(seconds=options["grace"]),
            )
        except StorageUnavailable:
            raise CommandError("The storage does not answer.", returncode=2) from None
        for found, keys in (("lost", report.lost), ("wrong", report.wrong)):
            for key in keys:
                self.stdout.write(f"{found}: {key} ({self._users_of(key)})")
        done = "would be deleted" if options["dry_run"] else "deleted"
        for key in report.orphans:
            self.stdout.write(f"without a row, {done}: {key}")
        for key in report.unfinished:
            self.stdout.write(f"unfinished upload, {done}: {key}")
        self.stdout.write(str(report))
        if not report.is_whole or (options["dry_run"] and not report.is_clean):
            sys.exit(1)

    def _users_of(self, key: str) -> str:
        """Return which notes have an object, or had it before."""
        stored = StoredObject.objects.filter(key=key)
        has_it = Q(attachments__object__in=stored) | Q(revisions__kept_files__object__in=stored)
        notes = Note.objects.filter(has_it).distinct().order_by("pk").values_list("pk", flat=True)
        ids = ", ".join(map(str, notes[:20]))
        return f"of notes {ids}" if ids else "of no note"
