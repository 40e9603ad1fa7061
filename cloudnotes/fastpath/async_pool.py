"""A pool of PostgreSQL connections for an event loop.

Django's connections belong to threads. These are for ``cloudnotes.fastpath.views`` only: every
statement is its own transaction, and each is prepared at its first use.

How it works: :meth:`Connections.fetch` takes an idle connection, or opens one while fewer than
``size`` are open, or else waits in a queue (first in, first out) until another coroutine gives one
back. Each query keeps its cursor, so that its statement is prepared and its row format parsed once
per connection. A timer fails a statement that gets no result in time; such a connection, like every
connection with an error, is closed instead of given back.

psycopg drives libpq by generators that yield "wait until readable" or "wait until writable", and
``AsyncConnection.wait`` runs such a generator. We override ``wait``, so that the socket stays
registered with the loop between statements. We also use two private members of psycopg's cursor,
``_reset`` and ``_tx``, to free the rows of a result early.
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
# By default PostgreSQL may plan a prepared statement again at each execution; planning costs more
# than executing these statements.
OPTIONS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan"


class NotDone(psycopg.DatabaseError):
    """The statement had no effect: it was not sent, or the server has cancelled it.

    After any other error of a statement that writes, it is unknown whether it was executed.
    """


class Connections:
    """A pool of at most ``size`` connections, opened on demand.

    ``free`` is the number of connections that may still be opened, ``waiting`` is the queue of
    callers. A connection that fails is closed, and ``psycopg.Error`` is raised to the caller.
    ``options`` are server options such as ``-c statement_timeout=3000``.
    """

    def __init__(self, size: int, options: str = "") -> None:
        self.free, self.options = size, f"{OPTIONS} {options}"
        self.idle: list[_Connection] = []
        self.waiting: deque[asyncio.Future[_Connection | None]] = deque()

    async def fetch(
        self, query: Bindable, values: dict[str, Any], deadline: float | None = None
    ) -> list[Row]:
        """Return the rows of a query, at the latest at ``deadline`` on the loop's clock.

        Raises psycopg.Error; its subclass :class:`NotDone` means that the query had no effect.
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
        """Close the idle connections; those in use are closed with the process."""
        while self.idle:
            self.idle.pop().forget()

    async def _take(self, until: float | None) -> "_Connection":
        """Return a connection for exclusive use. Raises psycopg.Error and TimeoutError."""
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
        """Give a connection (None: the right to open one) to the caller that has waited longest."""
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
        """Wait for a connection, or for None: the right to open one. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Connection | None] = loop.create_future()
        self.waiting.append(waiter)
        # Not asyncio.timeout, which costs twice as much: under load every request waits here.
        alarm = loop.call_at(until, _end, waiter) if until else None
        try:
            pooled = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._give(waiter.result())  # it was given at the moment of the cancellation
            raise
        finally:
            if alarm:
                alarm.cancel()
        return pooled

    async def _connect(self) -> "_Connection":
        parameters = connection.get_connection_params()
        for name in ("context", "cursor_factory"):  # Django's, only for its own connections
            parameters.pop(name, None)
        parameters["options"] = f"{parameters.get('options', '')} {self.options}"
        parameters["prepare_threshold"] = 0 if settings.PREPARED_STATEMENTS else None
        new_connection = await _Connection.connect(**parameters, autocommit=True)
        # By default an integer's type depends on its size, and each type is prepared separately.
        new_connection.adapters.register_dumper(int, Int8Dumper)
        new_connection.pool, new_connection.cursors = self, {}
        return new_connection


def _end(waiter: "asyncio.Future[_Connection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("no connection was free in time"))


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection whose socket is registered with the event loop as long as it is open.

    psycopg itself registers and unregisters it for every statement, which costs two system calls.
    The registration also detects that the server closes the connection while it is idle.

    ``turn`` is the future of the ``wait`` that is running, None between statements.
    """

    pool: Connections | None = None
    cursors: "dict[Bindable, _Cursor]"
    turn: "asyncio.Future[int] | None" = None
    watched = -1
    is_late = False

    async def wait(self, gen: Generator[int, int, Any], *_: Any, **__: Any) -> Any:
        """Run a generator of libpq's protocol, which yields the socket events that it waits for."""
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
        """Return the cursor of a query, which caches how to send it and how to read its rows."""
        if query not in self.cursors:
            self.cursors[query] = _Cursor(self)
            self.cursors[query].format = psycopg.pq.Format.BINARY
        return self.cursors[query]

    def give_up(self) -> None:
        """Fail the current or the next wait with psycopg.OperationalError."""
        self.is_late = True
        if self.turn and not self.turn.done():
            self.turn.set_exception(psycopg.OperationalError(LATE))

    def _wake(self, ready: int) -> None:
        if self.turn is None:
            self._listen()
        elif not self.turn.done():
            self.turn.set_result(ready)

    def _listen(self) -> None:
        """Read what the server sends while idle; if it has closed, remove this from the pool."""
        try:
            self.pgconn.consume_input()  # reads nothing if a statement has read it already
        except psycopg.OperationalError:
            if self.pool and self in self.pool.idle:
                self.pool.idle.remove(self)
                self.pool.free += 1
            self.forget()

    def forget(self) -> None:
        """Close the socket at once, without a message to the server."""
        if self.watched >= 0:
            asyncio.get_running_loop().remove_reader(self.watched)
        self.pgconn.finish()


class _Cursor(psycopg.AsyncCursor[Any]):
    """A cursor that is reused for its query and does not keep the rows of the last result."""

    def forget_rows(self) -> None:
        """Free the result: a page is up to a megabyte, and there are many cursors."""
        self._reset(reset_query=False)
        self._tx.set_pgresult(None)
