"""The ASGI application: HTTP goes to the fast path or the WSGI adapter, WebSockets to a consumer.

Django's own ASGI handler hops between threads for synchronous views; it reached a tenth of the
adapter's throughput. Until realtime adds the first consumer, every WebSocket is refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.conf import settings
from django.urls import get_resolver
from django.utils.module_loading import import_string

from cloudnotes.api import headers, routes
from cloudnotes.server.request_body import Receive
from cloudnotes.server.wsgi_adapter import Scope, Send, WSGIAdapter
from cloudnotes.worker import Worker
from cloudnotes.wsgi import application as wsgi_application

WORKER_SECONDS = 4.0  # gunicorn allows 25 in all; requests in flight may take 20
ASGICallable = Callable[[Scope, Receive, Send], Awaitable[None]]


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket handshake with 403: no consumer has this path."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})


async def live(send: Send) -> None:
    """Answer ``/health/live`` without a thread, so that a busy process does not seem dead."""
    body = b'{"ok": true, "status": "ok"}'
    fields = {**headers.DATA, "Content-Type": "application/json", "Content-Length": str(len(body))}
    encoded = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class ASGIApplication:
    """Routes a scope by its type; starts the worker, and stops it and the adapter at shutdown."""

    def __init__(
        self,
        http: WSGIAdapter,
        websocket: ASGICallable,
        worker: Worker | None = None,
    ) -> None:
        self.http, self.websocket, self.worker = http, websocket, worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/health/live":
            await live(send)
        elif scope["type"] == "http":
            await self.http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.websocket(scope, receive, send)
        else:
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup" and self.worker:
                self.worker.start()
            if message["type"] == "lifespan.shutdown":
                self.http.close()
                if self.worker:
                    await asyncio.to_thread(self.worker.stop, WORKER_SECONDS)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


if not settings.RATE_LIMITS:
    logging.getLogger("cloudnotes.security").warning("Rate limits are off (RATE_LIMITS=off).")

application = ASGIApplication(
    http=WSGIAdapter(
        wsgi_application,
        threads=settings.WEB_THREADS,
        max_body_bytes=settings.MAX_BODY_BYTES,
        trusted_proxy=settings.TRUSTED_PROXY,
        # By name: it imports models, which can be imported only from here on.
        fast=import_string("cloudnotes.fastpath.dispatch.async_transport")(),
        stores=routes.storage_requests(get_resolver()),
    ),
    websocket=refuse_socket,
    worker=Worker() if settings.RUN_WORKER else None,
)
