"""A WSGI application that does what the adapter must survive, and a server in a thread."""

import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from cloudnotes.asgi import ASGIApplication
from cloudnotes.server.gunicorn_worker import Worker
from cloudnotes.server.wsgi_adapter import WSGIAdapter
from tests.ports import free_port
from tests.waiting import TIMEOUT_SECONDS


class Toy:
    """Each method is a path: ``/digest``, ``/ignore``, ``/pieces/N`` and so on."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.release = threading.Event()
        self.held = threading.Semaphore(0)
        self.read_error: BaseException | None = None
        self.read_failed = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].strip("/")
        name, _, rest = path.partition("/")
        return getattr(self, name)(environ, start_response, rest)

    def answer(self, start_response: Any, body: bytes, status: str = "200 OK") -> Any:
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return Whole(body)

    def digest(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        digest, size = hashlib.sha256(), 0
        stream = environ["wsgi.input"]
        left = int(environ["CONTENT_LENGTH"])
        try:
            while left and (chunk := stream.read(min(left, 100_000))):
                digest.update(chunk)
                size += len(chunk)
                left -= len(chunk)
        except OSError as error:
            self.read_error = error
            self.read_failed.set()
            raise
        return self.answer(start_response, f"{size} {digest.hexdigest()}".encode())

    def ignore(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        return self.answer(start_response, b"no", "401 Unauthorized")

    def environ(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        shown = {name: value for name, value in environ.items() if isinstance(value, str)}
        return self.answer(start_response, json.dumps(shown).encode())

    def pieces(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])

        def generate() -> Iterator[bytes]:
            try:
                for number in range(int(rest)):
                    yield b"%08d" % number * 8192
            finally:
                self.closed.set()

        return generate()

    def forever(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        return self.pieces(environ, start_response, "1000000000")

    def broken(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        if rest == "before":
            raise RuntimeError("before")
        start_response("200 OK", [("Content-Type", "text/plain")])

        def generate() -> Iterator[bytes]:
            yield b"first"
            raise RuntimeError("in the middle")

        return generate()

    def hold(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        self.held.release()
        self.release.wait(TIMEOUT_SECONDS)
        return self.answer(start_response, b"released")

    def file(self, environ: dict[str, Any], start_response: Any, rest: str) -> Any:
        """Say by one file that the request is being worked on and wait for another."""
        Path(f"/{rest}/started").touch()
        while not Path(f"/{rest}/go").exists():
            time.sleep(0.02)
        return self.answer(start_response, b"finished")


class Whole:
    """A response that does not stream, as Django's are."""

    streaming = False

    def __init__(self, body: bytes) -> None:
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self.body


async def echo_socket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@contextlib.contextmanager
def serving(application: Any, **options: Any) -> Iterator[int]:
    """Serve a WSGI application through the adapter and yield the port."""
    adapter = WSGIAdapter(application, **{"threads": 2, "max_body_bytes": 64 * 2**20, **options})
    port = free_port()
    config = uvicorn.Config(
        ASGIApplication(http=adapter, websocket=echo_socket),
        host="127.0.0.1",
        port=port,
        log_config=None,
        **Worker.CONFIG_KWARGS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.getheaders()), response.read()
