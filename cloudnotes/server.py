"""The gunicorn worker: uvicorn without what CloudNotes must not have."""

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """Serves one worker process; named in ``gunicorn.conf.py``.

    ``proxy_headers`` is off because uvicorn would believe ``X-Forwarded-For``; the client's
    address is the bridge's business. In-flight requests get 20 s after SIGTERM.
    """

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "websockets-sansio",
        "lifespan": "on",
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "access_log": False,
        "timeout_graceful_shutdown": 20,
    }
