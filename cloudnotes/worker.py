"""Background jobs: send mail, delete unused objects, delete old rows.

The jobs are in the setting ``WORKER_JOBS``. Each runs in its own thread, so a mail server that
hangs delays mail only. Any number of workers may run in parallel, in their own processes
(``manage.py worker``) or in the web processes (``RUN_WORKER=1``): a job claims its rows in the
database.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error, close_old_connections
from django.utils.module_loading import import_string

AFTER_A_FAILURE_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Worker:
    """Runs every job repeatedly until it is stopped."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start one thread for each job."""
        for name, (path, seconds) in settings.WORKER_JOBS.items():
            work: Callable[[], bool | None] = import_string(path)
            thread = threading.Thread(
                target=self._repeat, args=(name, work, seconds), name=f"worker-{name}", daemon=True
            )
            thread.start()
            self.threads.append(thread)
        logger.info("worker started: %s", ", ".join(settings.WORKER_JOBS))

    def stop(self, seconds: float) -> None:
        """Start no more jobs and wait at most ``seconds`` for running ones to end."""
        self.stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _repeat(self, name: str, work: Callable[[], bool | None], seconds: float) -> None:
        while not self.stopping.is_set():
            pause = seconds
            try:
                close_old_connections()
                if work():
                    pause = 0
                close_old_connections()
            except Error as error:
                logger.warning("%s waits for the database: %s", name, type(error).__name__)
                pause = AFTER_A_FAILURE_SECONDS
            except Exception:  # a job that fails must not end the others
                logger.exception("%s failed", name)
                pause = max(seconds, AFTER_A_FAILURE_SECONDS)
            self.stopping.wait(pause)
