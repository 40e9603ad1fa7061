"""Limits on attempts, such as log-ins: exact across processes, hosts and restarts.

The scopes and their numbers of attempts are in the setting ``LIMITS``. The count is one atomic
statement in the database; a limiter in memory or on Redis let too many parallel attempts through.
The general limits of the API are in ``cloudnotes.api.throttling``.
"""

import logging
import math
import time
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.identifiers import fold_address
from accounts.models import Attempts
from cloudnotes.api import key_derivation
from cloudnotes.api.client_network import network
from cloudnotes.api.errors import RateLimit, TooManyRequests, note_rate_limit

# Counts an attempt and returns the new count, or no row if the limit is used up: a refused attempt
# writes nothing. The row lock of ON CONFLICT makes it exact.
COUNT = """
INSERT INTO accounts_attempts (key, used, ends_at) VALUES (%(key)s, 1, %(ends_at)s)
ON CONFLICT (key) DO UPDATE SET
    used = CASE WHEN accounts_attempts.ends_at <= %(now)s THEN 1
           ELSE accounts_attempts.used + 1 END,
    ends_at = CASE WHEN accounts_attempts.ends_at <= %(now)s THEN excluded.ends_at
              ELSE accounts_attempts.ends_at END
WHERE accounts_attempts.ends_at <= %(now)s OR accounts_attempts.used < %(limit)s
RETURNING used, ends_at
"""

security_log = logging.getLogger("cloudnotes.security")


def spend(request: HttpRequest | Request, scope: str, account: object = "") -> None:
    """Count one attempt in ``scope``, before it is evaluated.

    ``account`` is the identifier as typed, folded here, or a user's id. Raises
    :class:`cloudnotes.api.errors.TooManyRequests` when a rule of the scope is used up, and the
    attempt must not be evaluated then.

    The count must stay even if the attempt fails, so do not call this inside an action's
    transaction. The transaction around a whole request with an ``Idempotency-Key`` is committed
    when the request is refused; if it is rolled back, :func:`spend_again` counts again.
    """
    if not settings.RATE_LIMITS:
        return
    client_network = network(request.META.get("REMOTE_ADDR", ""))
    parts = {"account": fold_address(str(account)), "network": client_network}
    for rule, limit, seconds in settings.LIMITS[scope]:
        key = _key(scope, rule, *(parts[name] for name in rule.split("+")))
        used, ends_at = _count(key, limit, seconds)
        _get_spent(request).append((key, limit, seconds))
        status = RateLimit(limit, limit - min(used, limit), seconds, ends_at - time.time())
        note_rate_limit(request, status)
        if used > limit:
            security_log.warning(
                "limit hit", extra={"event": "limit_hit", "scope": scope, "network": client_network}
            )
            raise TooManyRequests(
                f"Too many attempts. Try again in {math.ceil(status.reset)} seconds.",
                wait=status.reset,
            )


def spend_again(request: HttpRequest | Request) -> None:
    """Count again what a request has spent in a transaction that was rolled back."""
    for key, limit, seconds in _get_spent(request):
        _count(key, limit, seconds)


def _get_spent(request: Any) -> list[tuple[str, int, int]]:
    """Return what a request has counted: key, limit and seconds of each window."""
    request = getattr(request, "_request", request)
    if not hasattr(request, "spent"):
        request.spent = []
    spent: list[tuple[str, int, int]] = request.spent
    return spent


def _count(key: str, limit: int, seconds: int) -> tuple[int, float]:
    """Return the number of this attempt, ``limit + 1`` if it is refused, and the window's end.

    The end is in seconds since 1970.
    """
    now = int(time.time() * 1000)
    parameters: dict[str, int | str] = {
        "key": key,
        "now": now,
        "ends_at": now + seconds * 1000,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)
        row = cursor.fetchone()
    if row:
        return row[0], row[1] / 1000
    ends_at = Attempts.objects.filter(key=key).values_list("ends_at", flat=True).first()
    return limit + 1, max(ends_at or now, now + 1000) / 1000


def forget_old() -> None:
    """Delete the windows that have ended; a worker's job."""
    Attempts.objects.filter(ends_at__lte=int(time.time() * 1000)).delete()


def _key(*parts: str) -> str:
    return key_derivation.derive("limits", *parts).hex()
