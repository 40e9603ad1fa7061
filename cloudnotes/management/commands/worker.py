"""``worker``: runs the background jobs until it is stopped."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from cloudnotes.worker import Worker

TIMEOUT_SECONDS = 20.0  # systemd and compose kill after 30


class Command(BaseCommand):
    """One process that runs all jobs; on SIGTERM it lets running jobs finish and ends."""

    help = "Send mail and do the other work that is due, until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stop_requested = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_requested.set())
        worker = Worker()
        worker.start()
        stop_requested.wait()
        worker.stop(TIMEOUT_SECONDS)
