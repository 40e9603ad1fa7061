"""Connections to PostgreSQL for an event loop.

Django's own belong to threads. These are for ``cloudnotes.fastpath.views`` alone: every statement
is a transaction of its own, and each is prepared at its first use.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.types.numeric import Int8Dumper
from psycopg.waiting import READY_R, READY_W, WAIT_W

from cloudnotes.db.compiled_queries import Bindable, Row

LATE = "no answer in time"
# PostgreSQL plans a prepared statement anew each time when it hopes to save by that; planning
# costs more than these statements do.
OPTIONS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan"


class NotDone(psycopg.DatabaseError):
    """What was to be done was not: it was not sent, or the server has given it up.

    Any other error of a statement that writes leaves open whether it was carried out.
    """


class Connections:
    """At most ``size`` connections, opened when they are needed and used in turn.

    One that fails is closed, and whoever meets that hears of it as ``psycopg.Error``. ``options``
    are of the server, such as ``-c statement_timeout=3000``.
    """

    def __init__(self, size: int, options: str = "") -> None:
        self.free, self.options = size, f"{OPTIONS} {options}"
        self.idle: list[_Connection] = []
        self.waiting: deque[asyncio.Future[_Connection | None]] = deque()

    async def fetch(
        self, query: Bindable, values: dict[str, Any], deadline: float | None = None
    ) -> list[Row]:
        """Return the rows of a query, at the latest at ``deadline`` on the loop's clock.

        Raises psycopg.Error, of which :class:`NotDone` says that nothing has come of it.
        """
        sql, parameters = query.bind(values)
        until = deadline and deadline - query.timeout_seconds
        try:
            pooled = await self._take(until)
        except (psycopg.Error, OSError) as error:
            raise NotDone(str(error)) from error
        pooled.is_late = False
        alarm = asyncio.get_running_loop().call_later(query.timeout_seconds, pooled.give_up)
        try:
            cursor = pooled.cursor_of(query)
            await cursor.execute(sql, parameters)
            rows: list[Row] = await cursor.fetchall()
            cursor.forget_rows()
        except BaseException as error:
            pooled.forget()
            self._give(None)
            if isinstance(error, LockNotAvailable | QueryCanceled):
                raise NotDone(str(error)) from error
            raise
        finally:
            alarm.cancel()
        self._give(pooled)
        return rows

    def close(self) -> None:
        """Close what is idle; what is in use is closed with the process."""
        while self.idle:
            self.idle.pop().forget()

    async def _take(self, until: float | None) -> "_Connection":
        """Return a connection for the caller alone. Raises psycopg.Error and TimeoutError."""
        if until and until < asyncio.get_running_loop().time():
            raise TimeoutError("no time is left")
        if self.idle:
            return self.idle.pop()
        pooled: _Connection | None = None
        if self.free:
            self.free -= 1
        else:
            pooled = await self._wait(until)
        if pooled:
            return pooled
        try:
            async with asyncio.timeout_at(until):
                return await self._connect()
        except BaseException:
            self._give(None)
            raise

    def _give(self, pooled: "_Connection | None") -> None:
        """Hand a connection, or the place of one that is no more, to who waits longest."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(pooled)
                return
        if pooled:
            self.idle.append(pooled)
        else:
            self.free += 1

    async def _wait(self, until: float | None) -> "_Connection | None":
        """Return what is handed over. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Connection | None] = loop.create_future()
        self.waiting.append(waiter)
        # Not asyncio.timeout: with many connections every request comes by here, at twice the cost.
        alarm = loop.call_at(until, _end, waiter) if until else None
        try:
            pooled = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._give(waiter.result())  # it came in the same moment
            raise
        finally:
            if alarm:
                alarm.cancel()
        return pooled

    async def _connect(self) -> "_Connection":
        parameters = connection.get_connection_params()
        for name in ("context", "cursor_factory"):  # Django's, for its own connections
            parameters.pop(name, None)
        parameters["options"] = f"{parameters.get('options', '')} {self.options}"
        parameters["prepare_threshold"] = 0 if settings.PREPARED_STATEMENTS else None
        opened = await _Connection.connect(**parameters, autocommit=True)
        # By default an integer's type follows from its size, and each type prepares anew.
        opened.adapters.register_dumper(int, Int8Dumper)
        opened.pool, opened.cursors = self, {}
        return opened


def _end(waiter: "asyncio.Future[_Connection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("no connection was free in time"))


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection whose socket the event loop watches from its beginning to its end.

    psycopg's own begins and ends to watch it at every statement, which costs two system calls.
    So it hears of the server's end while nothing is request.
    """

    pool: Connections | None = None
    cursors: "dict[Bindable, _Cursor]"
    turn: "asyncio.Future[int] | None" = None
    watched = -1
    is_late = False

    async def wait(self, gen: Generator[int, int, Any], *_: Any, **__: Any) -> Any:
        """Carry out a step of libpq's protocol that waits for the socket."""
        loop = asyncio.get_running_loop()
        try:
            events = next(gen)
            if self.watched < 0:
                self.watched = self.pgconn.socket
                loop.add_reader(self.watched, self._wake, READY_R)
            while True:
                if self.is_late:
                    raise psycopg.OperationalError(LATE)
                self.turn = loop.create_future()
                if events & WAIT_W:
                    loop.add_writer(self.watched, self._wake, READY_W)
                try:
                    ready = await self.turn
                finally:
                    self.turn = None
                    if events & WAIT_W:
                        loop.remove_writer(self.watched)
                events = gen.send(ready)
        except StopIteration as done:
            return done.value

    def cursor_of(self, query: Bindable) -> "_Cursor":
        """Return the cursor of a query, which remembers how to send it and to read its rows."""
        if query not in self.cursors:
            self.cursors[query] = _Cursor(self)
            self.cursors[query].format = psycopg.pq.Format.BINARY
        return self.cursors[query]

    def give_up(self) -> None:
        """Have whoever waits for an answer, now or next, hear of psycopg.OperationalError."""
        self.is_late = True
        if self.turn and not self.turn.done():
            self.turn.set_exception(psycopg.OperationalError(LATE))

    def _wake(self, ready: int) -> None:
        if self.turn is None:
            self._listen()
        elif not self.turn.done():
            self.turn.set_result(ready)

    def _listen(self) -> None:
        """Take in what the server says without being asked; at its end leave the pool."""
        try:
            self.pgconn.consume_input()  # nothing, where an answer was taken in meanwhile
        except psycopg.OperationalError:
            if self.pool and self in self.pool.idle:
                self.pool.idle.remove(self)
                self.pool.free += 1
            self.forget()

    def forget(self) -> None:
        """Close, at once and without a word to the server."""
        if self.watched >= 0:
            asyncio.get_running_loop().remove_reader(self.watched)
        self.pgconn.finish()


class _Cursor(psycopg.AsyncCursor[Any]):
    """A cursor that is kept for its query, without the rows that psycopg keeps until the next."""

    def forget_rows(self) -> None:
        """Let go of the result: a page is up to a megabyte, and there are many cursors."""
        self._reset(reset_query=False)
        self._tx.set_pgresult(None)
