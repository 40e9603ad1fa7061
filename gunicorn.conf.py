"""How gunicorn serves CloudNotes. The command line is the Procfile's `web` line."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from cloudnotes import settings

bind = f"{settings.HOST}:{settings.PORT}"
worker_class = "cloudnotes.server.gunicorn_worker.Worker"
workers = settings.WEB_CONCURRENCY
# A worker that does not report for this long is killed; the event loop reports, not the threads.
timeout = 30
graceful_timeout = 25
keepalive = 75
# Worker heartbeats are file changes: on a disk they can stall, in memory they cannot.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - see above
# gunicornc, the remote control of gunicorn 25 and later, is one door more than we watch.
control_socket_disable = True


def when_ready(server: Any) -> None:
    """Tell a newcomer where everything is, once the address is open."""
    if settings.IN_PRODUCTION:
        return
    url = settings.PUBLIC_BASE_URL
    print(  # noqa: T201 - for people
        f"\nCloudNotes      {url}"
        f"\nAPI, to try     {url}/docs"
        f"\nFor staff       {url}/admin/"
        "   (make admin, in a second terminal, makes a staff user)\n",
        flush=True,
    )
