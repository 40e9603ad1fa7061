"""The gunicorn worker: uvicorn with limits on request heads."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from cloudnotes.api import errors, request_id

HEAD_BYTES = 256 * 2**10
HEAD_SECONDS = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a maximum size and a maximum time for request heads.

    uvicorn limits neither with this parser: it accepted a header of 200 MB, and connections that
    sent half a head stayed open. What the parser refuses is answered with a problem too.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.head_bytes = 0
        self.in_body = False
        self.head_deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if not self.in_body:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self.send_400_response("The request head is too large.")
                return
            if self.head_deadline is None:
                self.head_deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        super().data_received(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Accept a header; drop a trailer, which a proxy in front does not check."""
        if not self.in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_body = True
        self._forget_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.in_body = False
        self._forget_head()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _forget_head(self) -> None:
        self.head_bytes = 0
        if self.head_deadline is not None:
            self.head_deadline.cancel()
            self.head_deadline = None

    def send_400_response(self, msg: str) -> None:
        """Send a problem and close; uvicorn's ``msg`` is not sent, because it reveals too much."""
        request_id.current.set(request_id.choose(None))
        headers, body = errors.problem_bytes(400, "bad_request", "The request is malformed.")
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(field) for field in headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", body]))
        self.transport.close()


class Worker(UvicornWorker):
    """The worker class that ``gunicorn.conf.py`` names.

    ``proxy_headers`` is off because uvicorn would trust ``X-Forwarded-For``; the WSGI adapter
    determines the client's address. In-flight requests get 20 s after SIGTERM.
    """

    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": BoundedProtocol,
        "ws": "websockets-sansio",
        "lifespan": "on",
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "access_log": False,
        "timeout_graceful_shutdown": 20,
    }
