"""The general rate limit of the API, and its headers.

Requests are counted on Redis, so that all processes share one count. Without Redis, or while it is
down or hangs, each process counts for itself. Log-ins and other attempts that an attacker would
repeat have exact limits in the database (``accounts.limits``).
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import limits
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits.storage import RedisStorage
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from cloudnotes.api.client_network import network
from cloudnotes.api.errors import COUNTED, RateLimit, TooManyRequests, note_rate_limit

BREAK_SECONDS = 5.0
MAX_WINDOWS = 10_000

logger = logging.getLogger(__name__)


class APIThrottle(BaseThrottle):
    """Limits the requests of a user, and those of a network without a token.

    Each request counts once, even if a middleware and then the view call this.
    """

    def allow_request(self, request: HttpRequest | Request, view: Any) -> bool:
        http_request: Any = getattr(request, "_request", request)
        if not settings.RATE_LIMITS or hasattr(http_request, "is_counted"):
            return True
        http_request.is_counted = True
        if request.META.get(COUNTED):
            note_rate_limit(request, request.META[COUNTED])
            return True
        if request.user and request.user.is_authenticated:
            allowed, status = count("api", str(request.user.pk))
        else:
            allowed, status = count("anonymous", network(request.META.get("REMOTE_ADDR", "")))
        note_rate_limit(request, status)
        if not allowed:
            raise TooManyRequests(
                f"Too many requests. Try again in {math.ceil(status.reset)} seconds.",
                wait=status.reset,
            )
        return True


def count(scope: str, key: str) -> tuple[bool, RateLimit]:
    """Count one request of a user or a network; return whether it is allowed, and what is left."""
    ((_, limit, seconds),) = settings.LIMITS[scope]
    return counter.hit(f"{scope}:{key}", limit, seconds)


def describe(status: RateLimit) -> dict[str, str]:
    """Return the ``RateLimit-*`` headers (draft-ietf-httpapi-ratelimit-headers-06)."""
    return {
        "RateLimit-Limit": str(status.limit),
        "RateLimit-Remaining": str(status.remaining),
        "RateLimit-Reset": str(max(0, math.ceil(status.reset))),
        "RateLimit-Policy": f"{status.limit};w={status.window}",
    }


class RateLimitMiddleware:
    """Writes the ``RateLimit-*`` headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        status: RateLimit | None = getattr(request, "rate_limit", None)
        for name, value in describe(status).items() if status else ():
            response.headers[name] = value
        return response


class Windows:
    """Fixed windows in this process's memory, exact with many threads.

    The library ``limits``, which we use with Redis, has a MemoryStorage that is not exact. Measured
    with limits 5.8.0 and 16 threads that hit one key; for the second and the third with a thread
    switch interval of 1 µs:

    - A fixed window deletes a counter that another thread has created but given no end yet.
      A limit of 20 in 1 s let 441 and 521 through in two runs of 20 s, where 21 windows allow 420.
    - A sliding window loses counts in the same way: 41 requests passed a limit of 20.
    - A moving window may give two threads that hit a new key separate locks: 21 passed a limit of
      20.

    Also, whatever the strategy:

    - Nothing bounds the number of keys in a window, and a moving window never deletes a key: 50,000
      networks that were seen once stayed in memory.
    - A hit starts a thread if none runs, up to 90 a second. The thread walks over all keys: 100,000
      keys took 60 to 90 % of a core. Two parallel hits may start the same thread object, which
      raises RuntimeError.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[str, tuple[int, float]] = {}

    def hit(self, key: str, limit: int, seconds: int) -> tuple[bool, RateLimit]:
        """Count one request; return whether it is allowed, and what is left."""
        now = time.monotonic()
        with self.lock:
            used, end = self.windows.get(key, (0, 0.0))
            if end <= now:
                used, end = 0, now + seconds
                self._make_room(now)
            allowed = used < limit
            used += allowed
            self.windows[key] = used, end
        return allowed, RateLimit(limit, limit - used, seconds, end - now)

    def _make_room(self, now: float) -> None:
        if len(self.windows) >= MAX_WINDOWS:
            self.windows = {
                key: (used, end) for key, (used, end) in self.windows.items() if end > now
            }
        if len(self.windows) >= MAX_WINDOWS:
            # More clients than a process can serve: clearing the counts lets each client send up to
            # its limit again, which is better than to run out of memory.
            self.windows.clear()


class SharedCounter:
    """Moving windows on Redis; while Redis fails, :class:`Windows` of this process.

    A circuit breaker: while Redis fails, one request in ``BREAK_SECONDS`` tries it and waits at
    most ``REDIS_TIMEOUT_SECONDS``; the others use the fallback without waiting.
    """

    def __init__(self) -> None:
        self.fallback = Windows()
        self.lock = threading.Lock()
        self.retry_at = 0.0
        self.connected: tuple[str, limits.strategies.MovingWindowRateLimiter] | None = None

    def hit(self, key: str, limit: int, seconds: int) -> tuple[bool, RateLimit]:
        """Count one request; return whether it is allowed, and what is left."""
        if settings.REDIS_URL and self._may_ask():
            try:
                return self._hit_redis(key, limit, seconds)
            except (RedisError, OSError) as error:
                self.retry_at = time.monotonic() + BREAK_SECONDS
                logger.warning(
                    "Redis cannot be used, limits are counted by process: %s", type(error).__name__
                )
        return self.fallback.hit(key, limit, seconds)

    def _may_ask(self) -> bool:
        now = time.monotonic()
        if not self.retry_at:
            return True
        with self.lock:
            if now < self.retry_at:
                return False
            self.retry_at = now + BREAK_SECONDS  # this request tries; the others use the fallback
            return True

    def _hit_redis(self, key: str, limit: int, seconds: int) -> tuple[bool, RateLimit]:
        limiter, item = self._limiter(), limits.RateLimitItemPerSecond(limit, seconds)
        allowed = limiter.hit(item, key)
        reset, remaining = limiter.get_window_stats(item, key)
        self.retry_at = 0.0
        return allowed, RateLimit(limit, max(0, remaining), seconds, reset - time.time())

    def _limiter(self) -> limits.strategies.MovingWindowRateLimiter:
        if self.connected is None or self.connected[0] != settings.REDIS_URL:
            storage = RedisStorage(
                settings.REDIS_URL,
                key_prefix="cloudnotes:limits",
                # redis-py's own defaults wait 5 s and try again.
                socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on unchanged
            )
            limiter = limits.strategies.MovingWindowRateLimiter(storage)
            self.connected = settings.REDIS_URL, limiter
        return self.connected[1]


counter = SharedCounter()
