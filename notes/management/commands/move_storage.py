"""``move_storage``: copies every file from the other storage into the storage in use."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from notes.files import moving, storage


class Command(BaseCommand):
    """Can be stopped and started again, and can run while the service runs."""

    help = (
        "Bring every stored file from OTHER_STORAGE into the storage in use, comparing checksums. "
        "What is there already is left; ends with 1 if something could not be brought."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not storage.is_moving():
            raise CommandError("Set OTHER_STORAGE to where the files are now.")
        try:
            result = moving.move(tell=self._show_progress)
        except storage.StorageUnavailable:
            raise CommandError(
                "A storage does not answer. Start again: what is done stays done.", returncode=2
            ) from None
        for key in result.missing:
            self.stdout.write(f"not in the other storage as it was stored: {key}")
        self.stdout.write(
            f"{result.brought} brought ({result.bytes / 2**20:.1f} MiB), {result.there} there "
            f"already, {len(result.missing)} missing."
        )
        if result.missing:
            sys.exit(1)

    def _show_progress(self, done: int, total: int) -> None:
        """Draw a progress bar; if the output is no terminal, only once for each 10 %."""
        width = 40
        filled = width * done // max(1, total)
        line = f"[{'#' * filled}{'.' * (width - filled)}] {done} of {total}"
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}", ending="\n" if done == total else "")
            self.stdout.flush()
        elif done == total or done % max(1, total // 10) == 0:
            self.stdout.write(line)
