"""Connections to PostgreSQL for an event loop.

Django's own belong to threads. These are for the reads of ``cloudnotes.fast`` alone: every
statement is a transaction of its own, and each is prepared at its first use.
"""

import asyncio
from collections import deque
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

from cloudnotes.queries import Query, Row


class Connections:
    """At most ``size`` connections, opened when they are needed and used in turn.

    One that fails is closed, and whoever meets that hears of it as ``psycopg.Error``.
    """

    def __init__(self, size: int) -> None:
        self.free = size
        self.idle: list[psycopg.AsyncConnection[Any]] = []
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def fetch(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of a query. Raises psycopg.Error."""
        sql, parameters = query.bind(values)
        while not self.idle and not self.free:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        self.free -= not self.idle
        used = None
        try:
            used = self.idle.pop() if self.idle else await _connect()
            cursor = psycopg.AsyncCursor(used)
            await cursor.execute(sql, parameters, prepare=settings.PREPARED_STATEMENTS)
            rows: list[Row] = await cursor.fetchall()
        except BaseException:
            self.free += 1
            if used:
                used.pgconn.finish()
            raise
        else:
            self.idle.append(used)
            return rows
        finally:
            if self.waiting:
                self.waiting.popleft().set_result(None)

    async def close(self) -> None:
        """Close what is idle."""
        while self.idle:
            await self.idle.pop().close()


async def _connect() -> psycopg.AsyncConnection[Any]:
    options = connection.get_connection_params()
    for name in ("context", "cursor_factory"):  # Django's, for its own connections
        options.pop(name, None)
    options["options"] = f"{options.get('options', '')} -c timezone=UTC"
    return await psycopg.AsyncConnection.connect(**options, autocommit=True)
