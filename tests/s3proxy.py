"""A proxy in front of an S3 server that can be told to fail as S3 servers fail."""

import asyncio
import contextlib
import enum
import threading
from collections.abc import Coroutine
from typing import Any

from tests.ports import free_port
from tests.servers import S3Server

HELD_SECONDS = 20.0
TIMEOUT_SECONDS = 60.0
PIECE_BYTES = 2**16
ERROR = "<Error><Code>{}</Code><Message>No.</Message></Error>"


class State(enum.Enum):
    """How the proxy behaves."""

    HEALTHY = "healthy"
    REFUSING = "refuses connections"
    SLOW = "says nothing"  # for HELD_SECONDS; what came in the meantime goes on then
    FORBIDDING = "answers 403"
    FAILING = "answers 500"


ANSWERS = {State.FORBIDDING: (403, "AccessDenied"), State.FAILING: (500, "InternalError")}


class S3Proxy:
    """Passes bytes on while all is well; Host and signature stay as the client made them."""

    def __init__(self, s3: S3Server, *, held_seconds: float = HELD_SECONDS) -> None:
        self.target, self.held_seconds = s3.port, held_seconds
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = State.HEALTHY
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="s3proxy", daemon=True)
        self.listener: asyncio.Server | None = None
        self.connections: set[Connection] = set()
        self.healed = asyncio.Event()

    def start(self) -> None:
        self.thread.start()
        self._do(self._become(State.HEALTHY))

    def stop(self) -> None:
        self._do(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def become(self, state: State) -> None:
        """Behave so from now on, towards connections that are open too."""
        self._do(self._become(state))

    def heal(self) -> None:
        """Be well again, and return when all that was held up has come where it was going to."""
        self.become(State.HEALTHY)
        self._do(self._wait_for_held())

    def held(self) -> list["Connection"]:
        """Return the connections that are held up."""
        return [each for each in list(self.connections) if each.is_held]

    def environment(self, s3: S3Server, bucket: str) -> dict[str, str]:
        """Return what has a service use the bucket through this proxy."""
        return {**s3.environment(bucket), "AWS_ENDPOINT_URL": self.url}

    async def flow(self) -> None:
        """Return when it is well again, or when bytes were held long enough."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.healed.wait(), self.held_seconds)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(2 * TIMEOUT_SECONDS)

    async def _become(self, state: State) -> None:
        before, self.state = self.state, state
        if state is State.HEALTHY:
            self.healed.set()
        else:
            self.healed.clear()
        if state is State.REFUSING:
            self._close()
        elif self.listener is None:
            self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        if State.SLOW not in (before, state):
            self._cut()

    async def _wait_for_held(self) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while held := self.held():
                await asyncio.gather(*(each.over.wait() for each in held))

    async def _stop(self) -> None:
        self._close()
        self._cut()
        await asyncio.gather(*(each.over.wait() for each in self.connections))

    def _close(self) -> None:
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def _cut(self) -> None:
        for connection in self.connections:
            connection.task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            connection.settle()
            self.connections.discard(connection)


class Connection:
    """A client's connection. ``over`` is set once nothing of it is held up any more."""

    def __init__(
        self, proxy: S3Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.proxy, self.reader, self.writer = proxy, reader, writer
        task = asyncio.current_task()
        assert task is not None
        self.task, self.is_held, self.over = task, False, asyncio.Event()

    def settle(self) -> None:
        self.is_held = False
        self.over.set()

    async def serve(self) -> None:
        await self._flow()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self.proxy.state in ANSWERS:
                await self._refuse(*ANSWERS[self.proxy.state])
            else:
                await self._pass_on()

    async def _flow(self) -> None:
        if self.proxy.state is State.SLOW:
            self.is_held = True
            self.over.clear()
            await self.proxy.flow()

    async def _refuse(self, status: int, code: str) -> None:
        """Answer one request, once its body is there if the client does not wait to send it."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"\r\nexpect:" not in head:
            lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            left = int(lengths[0].partition(b":")[2]) if lengths else 0
            while left and (piece := await self.reader.read(min(left, PIECE_BYTES))):
                left -= len(piece)
        body = ERROR.format(code).encode()
        fields = f"Content-Type: application/xml\r\nContent-Length: {len(body)}"
        said = f"HTTP/1.1 {status} No\r\n{fields}\r\nConnection: close\r\n\r\n".encode()
        self.writer.write(said if head.startswith(b"head ") else said + body)
        await self.writer.drain()

    async def _pass_on(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.target)
        there = asyncio.create_task(self._pump(self.reader, writer))
        back = asyncio.create_task(self._pump(reader, self.writer, answers=True))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if there.done() and not there.exception():
                writer.write_eof()  # the client has gone; what it sent shall arrive all the same
                await back
        finally:
            there.cancel()
            back.cancel()
            writer.close()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._flow()
            writer.write(piece)
            await writer.drain()
            if answers and self.proxy.state is State.HEALTHY:
                self.settle()
