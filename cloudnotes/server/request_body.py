"""Request bodies from ASGI: streamed to a thread as they arrive, collected, or dropped."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from tempfile import TemporaryFile
from typing import IO, Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

MEMORY_BYTES = 1 * 2**20
GATHERED_BYTES = 2**20
SPOOLS = 32
BODY_IDLE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 32 * 2**10
LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 2**20


class Disconnected(OSError):
    """The client disconnected, or stopped sending, before its body was complete."""


class Refused(Exception):
    """The WSGI adapter itself refuses the request, with this status, code and detail."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


def too_large(max_bytes: int) -> Refused:
    """Return the refusal of a body above ``max_bytes``."""
    return Refused(
        413,
        "body_too_large",
        f"The request body is larger than the limit of {max_bytes} bytes.",
    )


class ArrivingBody(io.RawIOBase):
    """A request body of ``length`` bytes: a thread reads it while it arrives on the event loop."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop, length: int) -> None:
        self.receive, self.loop = receive, loop
        self.deadline = loop.time() + BODY_IDLE_SECONDS + length / SLOWEST_BYTES_PER_SECOND
        self.rest = memoryview(b"")
        self.more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; return 0 at the end. Raises :class:`Disconnected`."""
        while self.more and not self.rest:
            future = asyncio.run_coroutine_threadsafe(self._next(), self.loop)
            try:
                self.rest = memoryview(future.result())
            except CancelledError:
                raise Disconnected("The server is stopping.") from None
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count

    async def _next(self) -> bytes:
        """Return the next bytes, gathered so that few switches to the thread are needed."""
        pieces, size = [], 0
        while self.more and size < GATHERED_BYTES:
            message = await next_message(self.receive, self.deadline)
            self.more = message.get("more_body", False)
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        return b"".join(pieces)


async def next_message(receive: Receive, deadline: float) -> Message:
    """Return the next part of a request body. Raises :class:`Disconnected`.

    A client has ``BODY_IDLE_SECONDS`` for each part and until ``deadline`` (on the loop's clock)
    for all of them.
    """
    idle = asyncio.get_running_loop().time() + BODY_IDLE_SECONDS
    try:
        async with asyncio.timeout_at(min(idle, deadline)):
            message = await receive()
    except TimeoutError:
        raise Disconnected("The request body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise Disconnected("The client closed the connection.")
    return message


class Collector:
    """Collects whole bodies of at most ``max_bytes``; at most ``SPOOLS`` are written at a time."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.spools = asyncio.Semaphore(SPOOLS)

    async def collect(self, receive: Receive, length: int | None) -> tuple[IO[bytes], int]:
        """Return the whole body as an open file, and its size in bytes.

        ``length`` is the declared length, None for a chunked body. Raises :class:`Disconnected`,
        :class:`Refused` and, when the disk is full, OSError.
        """
        if length == 0:
            return io.BytesIO(), 0
        max_length = self.max_bytes if length is None else length
        now = asyncio.get_running_loop().time()
        deadline = now + BODY_IDLE_SECONDS + max_length / SLOWEST_BYTES_PER_SECOND
        message = await next_message(receive, deadline)
        body = bytearray(message.get("body", b""))
        while message.get("more_body", False) and len(body) <= MEMORY_BYTES:
            message = await next_message(receive, deadline)
            body += message.get("body", b"")
        if len(body) > self.max_bytes:
            raise too_large(self.max_bytes)
        if not message.get("more_body", False):
            if length is not None and len(body) != length:
                raise Refused(
                    400, "body_incomplete", "The body is not as long as it was said to be."
                )
            return io.BytesIO(body), len(body)
        async with self.spools:
            return await self._spool(receive, body, deadline)

    async def _spool(
        self, receive: Receive, start: bytearray, deadline: float
    ) -> tuple[IO[bytes], int]:
        """Write ``start`` and the rest of the body to disk; return the open file and its size."""
        with contextlib.ExitStack() as on_error:
            spool = on_error.enter_context(TemporaryFile())
            size, more = spool.write(start), True
            while more:
                message = await next_message(receive, deadline)
                size += spool.write(message.get("body", b""))
                more = message.get("more_body", False)
                if size > self.max_bytes:
                    raise too_large(self.max_bytes)
            spool.seek(0)
            on_error.pop_all()  # from here on the reader closes it
            return spool, size


async def drop(receive: Receive) -> None:
    """Read and drop the rest of a body, up to a limit of time and size."""
    left = LINGER_BYTES
    deadline = asyncio.get_running_loop().time() + LINGER_SECONDS
    with contextlib.suppress(Disconnected):
        while left > 0:
            message = await next_message(receive, deadline)
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return
