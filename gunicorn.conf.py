"""How gunicorn serves CloudNotes. The command line is the Procfile's `web` line."""

import os
import socket

_everywhere = "[::]" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - a container listens to its host
_host = os.environ.get("HOST") or _everywhere
_port = os.environ.get("PORT") or "8000"

bind = f"{_host}:{_port}"
worker_class = "cloudnotes.server.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# A worker that does not report for this long is killed; the event loop reports, not the threads.
timeout = 30
graceful_timeout = 25
keepalive = 75
# Worker heartbeats are file changes: on a disk they can stall, in memory they cannot.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - see above
# gunicornc, the remote control of gunicorn 25 and later, is one door more than we watch.
control_socket_disable = True
