"""Whether two parts of the fast path earn their place: ``python -m benchmarks.paths``.

In one process, over PostgreSQL, in alternating runs, by the process's own CPU time a request:

- the fast path over its own pool of connections, and over ``psycopg_pool.AsyncConnectionPool``
  (claim: at least 1.1 times as much with the latter);
- a search on the fast path, and the same search through Django (claim: at least 1.5 times as much).

Fails if a claim does not hold, and both answers of a search must be the same bytes. Started by
``make bench-paths``.
"""

import asyncio
import io
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import django
import psycopg
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import AsyncConnectionPool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudnotes.settings")
os.environ["RATE_LIMITS"] = "off"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Django's requests run between those of the loop
logging.disable(logging.CRITICAL)
django.setup()

from django.core.management import call_command  # noqa: E402 - after setup
from django.core.wsgi import get_wsgi_application  # noqa: E402 - after setup
from django.db import connection  # noqa: E402 - after setup
from rest_framework.test import APIClient  # noqa: E402 - after setup

from cloudnotes.db.compiled_queries import Bindable, Row  # noqa: E402 - after setup
from cloudnotes.fastpath import dispatch  # noqa: E402 - after setup
from cloudnotes.fastpath.async_pool import OPTIONS, Connections  # noqa: E402 - after setup
from notes.models import Note  # noqa: E402 - after setup

API = "/api/v1"
SIZE, CLIENTS, REQUESTS, ROUNDS = 4, 16, 1500, 7
SEARCHES = ("q=word7&limit=20", "q=word7+word9", "q=word11+word12&limit=5")
SEARCH_REQUESTS, SEARCH_ROUNDS = 150, 5
MIN_POOL_RATIO, MIN_SEARCH_RATIO = 1.1, 1.5


class PsycopgPool:
    """What :class:`cloudnotes.fastpath.async_pool.Connections` does, by psycopg_pool."""

    def __init__(self) -> None:
        options = connection.get_connection_params()
        for name in ("context", "cursor_factory"):
            options.pop(name, None)
        options |= {"options": f"{options.get('options', '')} {OPTIONS}", "prepare_threshold": 0}
        self.pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            kwargs={**options, "autocommit": True},
            min_size=SIZE, max_size=SIZE, open=False, configure=_configure,
        )  # fmt: skip

    async def fetch(
        self, query: Bindable, values: dict[str, Any], deadline: float | None = None
    ) -> list[Row]:
        sql, params = query.bind(values)
        async with asyncio.timeout(query.timeout_seconds), self.pool.connection() as taken:
            cursor = psycopg.AsyncCursor(taken)
            cursor.format = psycopg.pq.Format.BINARY
            await cursor.execute(sql, params, prepare=True, binary=True)
            rows: list[Row] = await cursor.fetchall()
            return rows


async def _configure(opened: Any) -> None:
    opened.adapters.register_dumper(int, Int8Dumper)


class Account:
    """A new account with notes, whose requests are sent to one path or the other."""

    def __init__(self) -> None:
        client = APIClient()
        headers = {"host": "localhost"}
        body = {"email": f"b{time.time_ns()}@example.org", "password": "a long enough password"}
        answer = client.post(f"{API}/auth/register", body, format="json", headers=headers)
        self.token = answer.json()["access_token"]
        headers["authorization"] = f"Bearer {self.token}"
        words, chosen = [f"word{number}" for number in range(400)], random.Random(1)
        for _ in range(300):
            title, text = chosen.sample(words, 3), chosen.choices(words, k=120)
            body = {"title": " ".join(title), "content": " ".join(text)}
            note = client.post(f"{API}/notes", body, format="json", headers=headers).json()["id"]
        self.note = note
        while client.get(f"{API}/search?q=word1", headers=headers).json()["pending"]:
            pass
        Note.objects.update(state_given=True)
        self.application = get_wsgi_application()

    def scope(self, path: str, query: str = "") -> dict[str, Any]:
        headers = {"host": "localhost", "authorization": f"Bearer {self.token}"}
        return {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

    async def ask(self, transport: Any, path: str, query: str = "") -> bytes:
        """Return what the fast path answers."""
        answer = await transport(self.scope(path, query), io.BytesIO(), 0)
        assert answer is not None
        assert answer.status == 200
        body: bytes = answer.body
        return body

    def ask_django(self, path: str, query: str) -> bytes:
        """Return what Django answers."""
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "",
            "HTTP_HOST": "localhost", "HTTP_AUTHORIZATION": f"Bearer {self.token}",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http",
        }  # fmt: skip
        return b"".join(self.application(environ, lambda *_: None))


async def measure(request: Callable[[], Awaitable[Any]], number: int, clients: int = 1) -> float:
    """Return the microseconds of CPU that a request takes."""
    left = [number]

    async def client() -> None:
        while left[0] > 0:
            left[0] -= 1
            await request()

    began = time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    return (time.process_time() - began) / number * 1e6


async def compare_pools(account: Account) -> bool:
    """Print both pools for a note and a list, and return whether the claim holds."""
    dispatcher, other = dispatch._dispatcher(), PsycopgPool()
    await other.pool.open(wait=True)
    pools: dict[str, Any] = {"own pool": Connections(SIZE), "psycopg_pool": other}
    transports = {
        name: dispatch.AsyncTransport(dispatcher, reads=pool, writes=pool)
        for name, pool in pools.items()
    }
    is_right = True
    for path in (f"{API}/notes/{account.note}", f"{API}/notes"):
        costs: dict[str, list[float]] = {name: [] for name in transports}
        for _ in range(ROUNDS):
            for name, transport in transports.items():
                run = lambda: account.ask(transport, path)  # noqa: B023, E731 - called at once
                costs[name].append(await measure(run, REQUESTS, CLIENTS))
        is_right &= report(path, costs, MIN_POOL_RATIO)
    await other.pool.close()
    return is_right


async def compare_searches(account: Account) -> bool:
    """Print both paths for some searches, and return whether the claim holds."""
    pool = Connections(SIZE)
    transport = dispatch.AsyncTransport(dispatch._dispatcher(), reads=pool, writes=pool)
    path, is_right = f"{API}/search", True
    for query in SEARCHES:
        assert await account.ask(transport, path, query) == account.ask_django(path, query)
        costs: dict[str, list[float]] = {"fast path": [], "Django path": []}

        async def django_path() -> None:
            account.ask_django(path, query)  # noqa: B023 - called at once

        for _ in range(SEARCH_ROUNDS):
            run = lambda: account.ask(transport, path, query)  # noqa: B023, E731
            costs["fast path"].append(await measure(run, SEARCH_REQUESTS))
            costs["Django path"].append(await measure(django_path, SEARCH_REQUESTS))
        is_right &= report(f"{path}?{query}", costs, MIN_SEARCH_RATIO)
    return is_right


def report(what: str, costs: dict[str, list[float]], least: float) -> bool:
    """Print the medians and their ratio; return whether the ratio is at least what is claimed."""
    medians = {name: statistics.median(values) for name, values in costs.items()}
    first, second = medians.values()
    shown = ", ".join(f"{name} {value:.0f} us" for name, value in medians.items())
    print(f"{what}: {shown}, {second / first:.2f} times")
    return second / first >= least


async def main() -> int:
    """Run both comparisons and return the exit status."""
    call_command("migrate", verbosity=0)
    account = Account()
    is_right = await compare_pools(account) & await compare_searches(account)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
