"""``/health`` and ``/health/ready``: whether the process can serve requests.

``/health/live`` (the process responds) is in ``cloudnotes.asgi``: it must not wait for a thread.

They are answered before the Host is checked and before the redirect to TLS, because probes use the
IP address (Railway's the Host ``healthcheck.railway.app``) and expect a plain 200.
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
    """Answers the two paths that check the database; passes on all others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in ("/health", "/health/ready"):
            return report()
        return self.get_response(request)


def report() -> JsonResponse:
    """Return 200 if the database answers and its schema is complete, else 503.

    ``ok`` says the same as the status: clients of the first generation read it.

    The states of Redis, of the storage and of ``HEALTH_CHECKS`` are only reported: notes can be
    read and written without Redis and without the bucket, so their failure does not take the
    process out of service.
    """
    checks = {"database": _database(), **_outside(int(time.monotonic() / REPORT_SECONDS))}
    ready = checks["database"] == "ok"
    if ready:
        for name, path in settings.HEALTH_CHECKS.items():
            checks[name] = import_string(path)()
    return JsonResponse(
        {"ok": ready, "status": "ok" if ready else "unavailable", "checks": checks},
        status=200 if ready else 503,
    )


def _database() -> str:
    try:
        return _defect() or "ok"
    except Error:
        return "unavailable"


def _defect() -> str:
    """Return what the schema lacks, or ''; once it is complete, only ping the database."""
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
    """Return the states of Redis and the storage, checked at most once in ``REPORT_SECONDS``."""
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
