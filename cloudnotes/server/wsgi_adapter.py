"""HTTP from an ASGI server to a WSGI application, on a few threads.

uvicorn speaks ASGI, Django's synchronous views speak WSGI. This module translates: it makes a WSGI
environment of an ASGI scope, calls the application in a thread, and sends the result back as ASGI
messages. A request goes through ``WSGIAdapter.__call__``, ``_answer`` (body, fast path, choice of a
pool), ``ThreadPool.run`` and ``_call`` (the application), then through ``_send``, or through
``_refuse`` after an error.

Threads are scarce and clients may be slow, so no thread waits for a client where that can be
avoided:

- A body of up to ``COLLECTED_BYTES``, and one of undeclared length, is collected on the event loop
  first, in memory up to ``MEMORY_BYTES`` and on disk beyond. A larger one is streamed.
- Requests are divided over three thread pools (bulkheads): *upload* for streamed bodies and
  multipart forms, *storage* for other requests that may wait for the file storage, *default* for
  the rest. So neither slow clients nor a slow storage can block requests for notes.
- A streaming response is pulled chunk by chunk, as the client reads it; between two chunks it uses
  no thread.
- The fast path (``cloudnotes.fastpath``) is tried first, once the body has arrived. A request that
  it answers on the event loop needs no thread at all.

A request that gets no thread, or no response, within the timeouts of its pool is answered with 503,
so that no client waits forever. The upload pool has no timeout for the response: it waits as long
as the upload makes progress, and the storage has its own timeout.
"""

import asyncio
import io
import ipaddress
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.utils.http import parse_header_parameters

from cloudnotes.api import errors, request_id
from cloudnotes.server.request_body import (
    MEMORY_BYTES,
    ArrivingBody,
    Collector,
    Disconnected,
    Message,
    Receive,
    Refused,
    drop,
    too_large,
)

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

COLLECTED_BYTES = 8 * 2**20
QUEUE_SECONDS = 8.0
ANSWER_SECONDS = 9.5
# Together below 10 s; the storage itself times out after 6 s (``notes.files.s3``).
STORING_QUEUE_SECONDS, STORING_ANSWER_SECONDS = 2.5, 7.0

logger = logging.getLogger(__name__)


class ThreadPool:
    """A fixed number of threads, with timeouts for getting one and for its response."""

    def __init__(
        self,
        name: str,
        threads: int,
        *,
        queue_seconds: float,
        answer_seconds: float | None = None,
    ) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.slots = asyncio.Semaphore(threads)
        self.queue_seconds, self.answer_seconds = queue_seconds, answer_seconds

    async def run(self, call: Callable[[], "Response"]) -> "Response":
        """Run ``call`` in a thread. Raises :class:`Refused` (503) after a timeout.

        A thread cannot be stopped: its slot stays in use until it ends by itself, and then its
        response is dropped.
        """
        try:
            async with asyncio.timeout(self.queue_seconds):
                await self.slots.acquire()
        except TimeoutError:
            raise Refused(503, "overloaded", "The server is busy. Please try again.") from None
        work = asyncio.get_running_loop().run_in_executor(self.pool, call)
        work.add_done_callback(lambda _: self.slots.release())
        try:
            # Unlike asyncio.timeout, this does not cancel the work, and it needs no shield.
            done, _ = await asyncio.wait((work,), timeout=self.answer_seconds)
        except asyncio.CancelledError:
            work.add_done_callback(self._drop)
            raise
        if not done:
            work.add_done_callback(self._drop)
            raise Refused(503, "unavailable", "The answer takes too long. Please try again.")
        response = work.result()
        response.threads = self.pool
        return response

    def _drop(self, work: "asyncio.Future[Response]") -> None:
        if not work.cancelled() and work.exception() is None and work.result().rest is not None:
            self.pool.submit(work.result().close)


@dataclass
class Response:
    """The application's response; ``rest`` is a stream that ``threads`` still have to pull."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    rest: Iterator[bytes] | None = None
    threads: ThreadPoolExecutor | None = None
    unread: bool = False
    close: Callable[[], None] = lambda: None


# Takes a scope, the body and its size in bytes.
FastPath = Callable[[Scope, IO[bytes], int], Awaitable["Response | None"]]


class WSGIAdapter:
    """An ASGI application for HTTP scopes that answers with a WSGI application.

    ``threads`` is the size of each of the three pools. ``stores`` matches the
    ``METHOD /path?query`` of requests that may wait for the file storage, besides multipart forms.
    A body above ``max_body_bytes`` is refused with 413. With ``trusted_proxy`` the client's address
    is the ``X-Real-IP`` of the proxy in front; ``X-Forwarded-For`` is never read. ``fast`` is
    called first, on the event loop, and returns None to leave a request to the application.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        *,
        threads: int,
        max_body_bytes: int,
        trusted_proxy: bool = False,
        fast: FastPath | None = None,
        stores: re.Pattern[str] | None = None,
    ) -> None:
        self.application = application
        self.max_body_bytes = max_body_bytes
        self.trusted_proxy = trusted_proxy
        self.fast, self.stores = fast, stores
        self.default = ThreadPool(
            "default", threads, queue_seconds=QUEUE_SECONDS, answer_seconds=ANSWER_SECONDS
        )
        self.upload = ThreadPool("upload", threads, queue_seconds=STORING_QUEUE_SECONDS)
        self.storage = ThreadPool(
            "storage",
            threads,
            queue_seconds=STORING_QUEUE_SECONDS,
            answer_seconds=STORING_ANSWER_SECONDS,
        )
        self.collector = Collector(max_body_bytes)

    def close(self) -> None:
        """Accept no more work; each thread ends after its current request."""
        if self.fast and (close := getattr(self.fast, "close", None)):
            close()
        for pool in (self.default, self.upload, self.storage):
            pool.pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        offered = headers.get(b"x-request-id", b"").decode("latin-1")
        name = request_id.choose(offered)
        request_id.current.set(name)
        try:
            response = await self._answer(scope, headers, receive)
        except Disconnected as error:
            await self._refuse(scope, receive, send, Refused(408, "body_timeout", f"{error}"))
        except Refused as refusal:
            await self._refuse(scope, receive, send, refusal)
        except OSError:
            logger.exception("A request body cannot be kept on disk.")
            body_refusal = Refused(
                503, "unavailable", "The body cannot be taken. Please try again."
            )
            await self._refuse(scope, receive, send, body_refusal)
        else:
            if b"upgrade" in headers:
                # The server's parser reads nothing more on a connection that offered an upgrade.
                response.headers.append((b"connection", b"close"))
            await self._send(response, scope["method"], receive, send)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> Response:
        length = self._declared_length(headers)
        _check_content_type(headers)
        if length is not None and length > COLLECTED_BYTES:
            arriving = ArrivingBody(receive, asyncio.get_running_loop(), length)
            body: IO[bytes] = io.BufferedReader(arriving, MEMORY_BYTES)
            environ = self._environ(scope, body, length)
            response = await self.upload.run(lambda: self._ask(environ))
            if arriving.more and b"expect" in headers:
                # The application has not read the body, so the client may or may not send it.
                response.headers.append((b"connection", b"close"))
            response.unread = arriving.more and b"expect" not in headers
            return response
        body, size = await self.collector.collect(receive, length)
        if self.fast and (fast_response := await self.fast(scope, body, size)):
            return fast_response
        environ = self._environ(scope, body, size)
        return await self._pool(scope, headers).run(lambda: self._ask(environ))

    def _pool(self, scope: Scope, headers: dict[bytes, bytes]) -> ThreadPool:
        """Return the pool for a request whose body has been collected."""
        if headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            return self.upload
        request_line = (
            f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}"
        )
        return self.storage if self.stores and self.stores.search(request_line) else self.default

    def _declared_length(self, headers: dict[bytes, bytes]) -> int | None:
        """Return the Content-Length, 0 without a body, None for a chunked one.

        Raises :class:`Refused` for a body that is too large or comes with an Upgrade: the server's
        parser stops after the headers of such a request and would lose the body.
        """
        has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        if has_body and b"upgrade" in headers:
            detail = "There is nothing to upgrade to here. Send the request without Upgrade."
            raise Refused(400, "bad_upgrade", detail)
        if b"transfer-encoding" in headers:
            return None
        length = int(headers.get(b"content-length", b"0"))
        if length > self.max_body_bytes:
            raise too_large(self.max_body_bytes)
        return length

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
        environ.update({name: scope[name] for name in scope if name.startswith("cloudnotes.")})
        environ["HTTP_X_REQUEST_ID"] = request_id.current.get()
        environ["CONTENT_LENGTH"] = str(length or 0)
        environ["REMOTE_ADDR"] = self._client_address(scope, environ)
        return environ

    def _client_address(self, scope: Scope, environ: dict[str, Any]) -> str:
        address = (scope.get("client") or ("",))[0]
        if self.trusted_proxy:
            address = _plain_address(environ.get("HTTP_X_REAL_IP", "")) or address
        return _plain_address(address)

    def _ask(self, environ: dict[str, Any]) -> Response:
        """Call the application (in a thread); return its response, complete unless it streams."""
        try:
            return self._call(environ)
        except Exception:
            path = request_id.loggable(environ["PATH_INFO"])
            logger.exception("%s %s", environ["REQUEST_METHOD"], path)
            raise Refused(500, "internal_error", "Something went wrong on our side.") from None
        finally:
            environ["wsgi.input"].close()

    def _call(self, environ: dict[str, Any]) -> Response:
        response = Response()
        written: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], None]:
            response.status = int(status.split(" ", 1)[0])
            response.headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ]
            return written.append

        result = self.application(environ, start_response)
        response.close = getattr(result, "close", response.close)
        if getattr(result, "streaming", not isinstance(result, list)):
            response.rest = iter(result)
            return response
        try:
            response.body = b"".join([*written, *result])
        finally:
            response.close()
        if response.status in (204, 304):
            # They have no content, which is not content of length 0 (RFC 9110, 8.6).
            response.headers = [
                header for header in response.headers if header[0] != b"content-length"
            ]
        elif not any(name == b"content-length" for name, _ in response.headers):
            response.headers.append((b"content-length", b"%d" % len(response.body)))
        return response

    async def _send(self, response: Response, method: str, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": response.headers,
            }
        )
        if response.rest is None:
            body = {"type": "http.response.body", "body": response.body}
            if response.unread:
                await send({**body, "more_body": True})
                await drop(receive)
                body = {"type": "http.response.body", "body": b""}
            await send(body)
            return
        loop = asyncio.get_running_loop()
        disconnected = asyncio.ensure_future(_disconnect(receive))
        try:
            while method != "HEAD" and not disconnected.done():
                chunk = await loop.run_in_executor(response.threads, next, response.rest, None)
                if chunk is None:
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            disconnected.cancel()
            await loop.run_in_executor(response.threads, response.close)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refused) -> None:
        """Send a problem; after a 413, read on for a while before closing ("lingering close").

        Closing a connection with unread bytes resets it, and most clients then report the reset
        instead of the response.
        """
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
        headers, body = errors.problem_bytes(
            refusal.status, refusal.code, str(refusal), origin=origin
        )
        if refusal.status != 503 or b"expect" in dict(scope["headers"]):
            # The rest of the body is not wanted, or the client may or may not send it.
            headers.append((b"connection", b"close"))
        path = request_id.loggable(scope["path"])
        logger.warning("%s %s %d", scope["method"], path, refusal.status)
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if refusal.status == 413:
            await drop(receive)
        await send({"type": "http.response.body", "body": b""})


def _check_content_type(headers: dict[bytes, bytes]) -> None:
    """Raise :class:`Refused` for a Content-Type that makes Django fail before it can respond."""
    try:
        parse_header_parameters(headers.get(b"content-type", b"").decode("latin-1"))
    except (ValueError, LookupError):
        detail = "The Content-Type cannot be understood."
        raise Refused(400, "bad_content_type", detail) from None


def _plain_address(text: str) -> str:
    """Return an IP address in canonical form (no zone, IPv4 unmapped), '' if it is invalid."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


async def _disconnect(receive: Receive) -> None:
    """Return when the client has disconnected; drop the parts of an unread body."""
    while (await receive())["type"] != "http.disconnect":
        pass
