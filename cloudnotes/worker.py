"""What is done behind the requests: mail sent, objects swept, old rows forgotten.

The jobs stand in the setting ``WORKER_JOBS``. Each runs in a thread of its own, so a mail server
that hangs holds up mail and nothing else. Any number of workers may run at once, in processes of
their own (``manage.py worker``) or in the web processes (``RUN_WORKER=1``): a job claims its rows
in the database.
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
    """Runs every job again and again until it is stopped."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start one thread a job."""
        for name, (path, seconds) in settings.WORKER_JOBS.items():
            work: Callable[[], bool | None] = import_string(path)
            thread = threading.Thread(
                target=self._repeat, args=(name, work, seconds), name=f"worker-{name}", daemon=True
            )
            thread.start()
            self.threads.append(thread)
        logger.info("worker started: %s", ", ".join(settings.WORKER_JOBS))

    def stop(self, seconds: float) -> None:
        """Begin nothing else and let what is under way end, for at most ``seconds`` seconds."""
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
