"""HTTP from an ASGI server to a WSGI application, on a few threads.

A thread is dear and a client may be slow, so a thread never waits for a client where that can be
helped:

- A small body, and one of undeclared length, is collected on the event loop first (in memory up
  to ``SMALL_BODY_BYTES``, on disk beyond) and the request then runs in the *ready* lane.
- A large body of declared length is streamed: its request runs in the *arriving* lane, whose
  threads may wait for the client. Slow uploads can hold up uploads, never notes.
- A response that streams is pulled chunk by chunk as the client takes it; between two chunks no
  thread belongs to it.

A request that finds no free thread within ``QUEUE_SECONDS`` is answered 503.
"""

import asyncio
import contextlib
import io
import ipaddress
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from cloudnotes import errors, request_id

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

SMALL_BODY_BYTES = 1 * 2**20
QUEUE_SECONDS = 8.0
BODY_IDLE_SECONDS = 30.0
LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 2**20

logger = logging.getLogger(__name__)


class Disconnected(OSError):
    """The client went away, or fell silent, before its body was complete."""


class Refused(Exception):
    """The request is answered by the bridge itself, with this status, code and sentence."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Lane:
    """A bounded set of threads, with a bounded wait for one of them."""

    def __init__(self, name: str, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.places = asyncio.Semaphore(threads)

    async def run(self, call: Callable[[], "Answer"]) -> "Answer":
        """Run ``call`` in a thread. Raises :class:`Refused` (503) if none is free in time."""
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self.places.acquire()
        except TimeoutError:
            raise Refused(503, "overloaded", "The server is busy. Please try again.") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, call)
        finally:
            self.places.release()


class ArrivingBody(io.RawIOBase):
    """A request body read in a thread while it arrives on the event loop."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self.receive, self.loop = receive, loop
        self.rest = memoryview(b"")
        self.more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; 0 at the end. Raises :class:`Disconnected` when the client is gone."""
        while self.more and not self.rest:
            waiting = asyncio.run_coroutine_threadsafe(self._next(), self.loop)
            self.rest = memoryview(waiting.result())
        taken = min(len(buffer), len(self.rest))
        buffer[:taken] = self.rest[:taken]
        self.rest = self.rest[taken:]
        return taken

    async def _next(self) -> bytes:
        message = await next_message(self.receive)
        self.more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


async def next_message(receive: Receive) -> Message:
    """Return the next part of a request body. Raises :class:`Disconnected`."""
    try:
        async with asyncio.timeout(BODY_IDLE_SECONDS):
            message = await receive()
    except TimeoutError:
        raise Disconnected("The request body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise Disconnected("The client closed the connection.")
    return message


@dataclass
class Answer:
    """What the application said; ``rest`` is what is still to be pulled from it."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    rest: Iterator[bytes] | None = None
    close: Callable[[], None] = lambda: None


class Bridge:
    """An ASGI application for HTTP scopes that answers with a WSGI application.

    ``threads`` is the size of each of the two lanes. A body above ``max_body_bytes`` is refused
    with 413. With ``trusted_proxy`` the client's address is the ``X-Real-IP`` of the proxy in
    front; ``X-Forwarded-For`` is never read.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        *,
        threads: int,
        max_body_bytes: int,
        trusted_proxy: bool = False,
    ) -> None:
        self.application = application
        self.max_body_bytes = max_body_bytes
        self.trusted_proxy = trusted_proxy
        self.ready = Lane("ready", threads)
        self.arriving = Lane("arriving", threads)

    def close(self) -> None:
        """Let the threads finish and go. Nothing can be asked afterwards."""
        self.ready.pool.shutdown()
        self.arriving.pool.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            length = self._declared_length(headers)
            if b"expect" in headers or (length or 0) > SMALL_BODY_BYTES:
                answer = await self._ask_while_arriving(scope, receive, length)
                if b"expect" in headers:
                    # Perhaps nobody asked for the body: then nobody knows whether it comes.
                    answer.headers.append((b"connection", b"close"))
            else:
                body, size = await self._collect(receive, length)
                with body:
                    environ = self._environ(scope, body, size)
                    answer = await self.ready.run(lambda: self._ask(environ))
        except Disconnected as silence:
            await self._refuse(scope, receive, send, Refused(408, "body_timeout", f"{silence}"))
        except Refused as refusal:
            await self._refuse(scope, receive, send, refusal)
        else:
            await self._send(answer, scope["method"], receive, send)

    def _declared_length(self, headers: dict[bytes, bytes]) -> int | None:
        """Return the Content-Length, 0 without a body, None for a chunked one."""
        if b"transfer-encoding" in headers:
            return None
        length = int(headers.get(b"content-length", b"0"))
        if length > self.max_body_bytes:
            raise self._too_large()
        return length

    def _too_large(self) -> Refused:
        return Refused(
            413,
            "body_too_large",
            f"The request body is larger than the limit of {self.max_body_bytes} bytes.",
        )

    async def _ask_while_arriving(
        self, scope: Scope, receive: Receive, length: int | None
    ) -> Answer:
        loop = asyncio.get_running_loop()
        body = io.BufferedReader(ArrivingBody(receive, loop), SMALL_BODY_BYTES)
        environ = self._environ(scope, body, length)
        return await self.arriving.run(lambda: self._ask(environ))

    async def _collect(self, receive: Receive, length: int | None) -> tuple[IO[bytes], int]:
        """Return the whole body as an open file, and its size in bytes."""
        if length == 0:
            return io.BytesIO(), 0
        message = await next_message(receive)
        if not message.get("more_body", False):
            body = message.get("body", b"")
            return io.BytesIO(body), len(body)
        spool: Any = SpooledTemporaryFile(SMALL_BODY_BYTES)  # noqa: SIM115 - the caller closes it
        try:
            size = spool.write(message.get("body", b""))
            while message.get("more_body", False):
                message = await next_message(receive)
                size += spool.write(message.get("body", b""))
                if size > self.max_body_bytes:
                    raise self._too_large()
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return spool, size

    def _environ(self, scope: Scope, body: IO[bytes], length: int | None) -> dict[str, Any]:
        """Return the WSGI environment (PEP 3333) of an ASGI scope."""
        host, port = scope.get("server") or ("", 0)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": scope.get("root_path", ""),
            "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
            "QUERY_STRING": scope["query_string"].decode("latin-1"),
            "SERVER_NAME": host or "",
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope["scheme"],
            "wsgi.input": body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for raw_name, raw_value in scope["headers"]:
            if b"_" in raw_name:
                continue  # "x_real_ip" would arrive under the name of "x-real-ip"
            name = raw_name.decode("latin-1").upper().replace("-", "_")
            value = raw_value.decode("latin-1")
            if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                name = f"HTTP_{name}"
            if name in environ:
                value = environ[name] + ("; " if name == "HTTP_COOKIE" else ",") + value
            environ[name] = value
        environ["CONTENT_LENGTH"] = str(length or 0)
        environ["REMOTE_ADDR"] = self._client_address(scope, environ)
        return environ

    def _client_address(self, scope: Scope, environ: dict[str, Any]) -> str:
        address = (scope.get("client") or ("",))[0]
        if self.trusted_proxy:
            with contextlib.suppress(ValueError):
                address = str(ipaddress.ip_address(environ.get("HTTP_X_REAL_IP", "")))
        return address.removeprefix("::ffff:")

    def _ask(self, environ: dict[str, Any]) -> Answer:
        """Call the application (in a thread) and take its answer, whole unless it streams."""
        answer = Answer()
        written: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], None]:
            answer.status = int(status.split(" ", 1)[0])
            answer.headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ]
            return written.append

        try:
            result = self.application(environ, start_response)
        except Exception:
            logger.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            raise Refused(500, "internal_error", "Something went wrong on our side.") from None
        answer.close = getattr(result, "close", answer.close)
        if getattr(result, "streaming", True):
            answer.rest = iter(result)
            return answer
        try:
            answer.body = b"".join([*written, *result])
        finally:
            answer.close()
        if not any(name == b"content-length" for name, _ in answer.headers):
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
        return answer

    async def _send(self, answer: Answer, method: str, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": answer.headers,
            }
        )
        if answer.rest is None:
            await send({"type": "http.response.body", "body": answer.body})
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            while method != "HEAD" and not gone.done():
                chunk = await loop.run_in_executor(self.ready.pool, next, answer.rest, None)
                if chunk is None:
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await loop.run_in_executor(self.ready.pool, answer.close)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refused) -> None:
        """Answer with a problem; after a 413, read on for a while before closing.

        A connection closed on unread bytes is reset, and most clients then report the reset
        instead of what was answered (the "lingering close" of web servers).
        """
        offered = dict(scope["headers"]).get(request_id.HEADER.lower().encode(), b"")
        headers, body = errors.problem_bytes(
            refusal.status,
            refusal.code,
            str(refusal),
            request_id=request_id.choose(offered.decode("latin-1")),
        )
        if refusal.status in (408, 413):
            headers.append((b"connection", b"close"))
        logger.warning("%s %s %d", scope["method"], scope["path"], refusal.status)
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if refusal.status == 413:
            await _drop(receive)
        await send({"type": "http.response.body", "body": b""})


async def _drop(receive: Receive) -> None:
    """Read and forget the rest of a body, for a bounded time and size."""
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError, Disconnected):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await next_message(receive)
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def _disconnect(receive: Receive) -> None:
    """Return when the client has gone; a body that nobody read is dropped on the way."""
    while (await receive())["type"] != "http.disconnect":
        pass
