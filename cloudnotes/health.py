"""``/health`` and ``/health/ready``: the process can do its work.

``/health/live`` (it answers) is in ``cloudnotes.asgi`` because it must not wait for a thread.

Answered before anything looks at the Host or redirects to TLS, because probes come by address
(Railway's with the Host ``healthcheck.railway.app``) and want a plain 200.
"""

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string

from cloudnotes.db.tables import is_migrated
from cloudnotes.db.triggers import get_missing

REPORT_SECONDS = 10
TIMEOUT_SECONDS = 1.0


class HealthMiddleware:
    """Answers the two paths that need the database and passes on all others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in ("/health", "/health/ready"):
            return report()
        return self.get_response(request)


def report() -> JsonResponse:
    """Return 200 when the database answers and is whole, else 503; the rest is told.

    The rest is Redis, the storage, and what apps say of themselves (``HEALTH_CHECKS``).

    Notes are read and written without Redis and without the bucket, so these do not take the
    process out of service.
    """
    checks = {"database": _database(), **_outside(int(time.monotonic() / REPORT_SECONDS))}
    ready = checks["database"] == "ok"
    if ready:
        for name, path in settings.HEALTH_CHECKS.items():
            checks[name] = import_string(path)()
    return JsonResponse(
        {"status": "ok" if ready else "unavailable", "checks": checks},
        status=200 if ready else 503,
    )


def _database() -> str:
    try:
        return _defect() or "ok"
    except Error:
        return "unavailable"


def _defect() -> str:
    """Return what the tables lack, '' for nothing; once they are whole, only ask the database."""
    if _seen_whole.is_set():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""
    if not is_migrated(connection):
        return "not migrated"
    if get_missing(connection):
        return "triggers missing"
    _seen_whole.set()
    return ""


@functools.lru_cache(maxsize=1)
def _outside(_period: int) -> dict[str, str]:
    """Return the state of Redis and the storage, asked at most once in ``REPORT_SECONDS``."""
    futures = {"redis": _executor.submit(_redis), "storage": _executor.submit(_storage)}
    states = {}
    for name, future in futures.items():
        try:
            states[name] = future.result(timeout=TIMEOUT_SECONDS)
        except TimeoutError:
            states[name] = "slow"
    return states


def _redis() -> str:
    if not settings.REDIS_URL:
        return "not used"
    timeout: Any = settings.REDIS_TIMEOUT_SECONDS
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=timeout, socket_connect_timeout=timeout
        ) as client:
            client.ping()
    except redis.RedisError:
        return "unavailable"
    return "ok"


def _storage() -> str:
    storage: Any = default_storage
    return "ok" if storage.is_reachable() else "unavailable"


_seen_whole = threading.Event()
_executor = ThreadPoolExecutor(2, thread_name_prefix="health")
