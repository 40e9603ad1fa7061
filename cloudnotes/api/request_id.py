"""A request id on every request, response, log line and problem."""

import logging
import re
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-Id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

current: ContextVar[str] = ContextVar("request_id", default="-")
logger = logging.getLogger("cloudnotes.requests")


def choose(offered: str | None) -> str:
    """Return the id that the client or its proxy offered if it is well-formed, else a new one."""
    return offered if offered and WELL_FORMED.fullmatch(offered) else secrets.token_hex(16)


def loggable(path: str) -> str:
    """Return a path for the log: the rest of some paths is a secret that opens the file."""
    for start in ("/files/", "/uploads/", "/avatars/"):
        if path.startswith(start):
            return f"{start}…"
    return path


def log(method: str | None, path: str, status: int, started: float) -> None:
    """Log a request that began at ``started`` (on the clock of ``time.perf_counter``)."""
    if settings.REQUEST_LOG:
        log_fields = {
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        }
        logger.info("%s %s %d", method, path, status, extra=log_fields)


class RequestIdMiddleware:
    """Gives each request an id, sets it on the response and writes one log line per request.

    The line holds method, path, status and milliseconds; never the query string, which may hold a
    user's search terms.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = choose(request.headers.get(HEADER))
        token = current.set(request_id)
        started = time.perf_counter()
        path = loggable(request.path)
        try:
            response = self.get_response(request)
            response.headers[HEADER] = request_id
            log(request.method, path, response.status_code, started)
            return response
        finally:
            current.reset(token)


class RequestIdFilter(logging.Filter):
    """Adds the ``request_id`` of the current request, or ``-``, to each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current.get()
        return True
