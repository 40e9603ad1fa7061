"""The two transports of the fast path: on an event loop and in a thread (see ``views``).

Both do the same four steps. They find the view (:meth:`Dispatcher.find`), make a :class:`Request`
of the ASGI scope or the WSGI environment, let the dispatcher authenticate and count the user
(:meth:`Dispatcher.admit`), and call the view with a function that executes its queries. Each step
may return None: then the Django path answers the request from its beginning, with the body rewound.

If the database fails within ``RETRY_SECONDS``, the Django path retries the request; if it fails
later, the response is 503. An unexpected exception in a view that writes is answered with 500 and
never retried, because the write may have been made.
"""

import asyncio
import functools
import http
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import IO, Any
from weakref import WeakValueDictionary

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.utils.module_loading import import_string

from cloudnotes.api import errors, request_id
from cloudnotes.db.compiled_queries import Bindable, Row, Statement
from cloudnotes.fastpath.async_pool import Connections
from cloudnotes.fastpath.views import (
    Dispatcher,
    Fields,
    Request,
    Response,
    View,
    all_headers,
    render,
    unavailable,
)
from cloudnotes.server import wsgi_adapter
from cloudnotes.server.wsgi_adapter import Scope

# If the database fails sooner, the Django path may retry in the rest of ten seconds.
RETRY_SECONDS = 2.0
ANSWER_SECONDS = 9.0
# The commit is not part of a statement's time and may wait for one more lock: foreign keys lock the
# account's row then.
STATEMENT_MILLISECONDS, LOCK_MILLISECONDS = 2000, 1000
WRITE_OPTIONS = f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout={LOCK_MILLISECONDS}"
logger = logging.getLogger(__name__)


class AsyncTransport:
    """The fast path on an event loop; ``server.wsgi_adapter.WSGIAdapter`` calls it first.

    Writes have separate connections: they may wait for a lock, and reads never do.
    """

    def __init__(self, dispatcher: Dispatcher, *, reads: Connections, writes: Connections) -> None:
        self.dispatcher, self.reads, self.writes = dispatcher, reads, writes
        self.write_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def __call__(
        self, scope: Scope, body: IO[bytes], size: int
    ) -> wsgi_adapter.Response | None:
        """Return the response to an HTTP scope, None to leave it, with its body, to a thread."""
        match = self.dispatcher.find(scope["method"], scope["raw_path"].decode("latin-1"))
        if match is None or scope.get("root_path"):
            return None
        started = time.perf_counter()
        view, numbers = match
        fields = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if len(fields) < len(scope["headers"]) or size > view.max_body_bytes:
            return None
        request = Request(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            fields,
            scope["scheme"],
            body.read(),
        )
        body.seek(0)
        response = await self._answer(request, view, numbers)
        if response is None:
            scope[errors.COUNTED] = request.counted
            return None
        body.close()
        raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in all_headers(request, response, view)
        ]
        request_id.log(request.method, request.path, response.status, started)
        return wsgi_adapter.Response(response.status, raw_headers, response.body)

    async def _answer(
        self, request: Request, view: View, numbers: tuple[int, ...]
    ) -> Response | None:
        started = time.perf_counter()
        response, error = None, None
        try:
            response = await self._take(request, view, numbers)
        except errors.DomainError:
            pass
        except (psycopg.Error, OSError) as caught:
            error = caught  # a broken connection, no database, or no free connection
        except Exception:
            logger.exception("The fast path failed on %s %s", request.method, request.path)
            return failed(view)
        if error and time.perf_counter() - started >= RETRY_SECONDS:
            return unavailable(error)
        return response

    async def _take(
        self, request: Request, view: View, numbers: tuple[int, ...]
    ) -> Response | None:
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS

        async def fetch(query: Bindable, **values: Any) -> list[Row]:
            connections = self.writes if isinstance(query, Statement) else self.reads
            return await connections.fetch(query, values, deadline)

        user = await self.dispatcher.admit(request, view, fetch)
        if user is None:
            return None
        if not view.max_body_bytes:
            return await view.answer(request, user, fetch, *numbers)
        # The lock of the feed serializes a user's writes in any case. Waiting here needs no
        # connection, so one user cannot take all of them.
        write_lock = self.write_locks.setdefault(user.pk, asyncio.Lock())
        async with asyncio.timeout_at(deadline - Statement.timeout_seconds):
            await write_lock.acquire()
        try:
            return await view.answer(request, user, fetch, *numbers)
        finally:
            write_lock.release()

    def close(self) -> None:
        """Close the idle connections."""
        self.reads.close()
        self.writes.close()


class SyncTransport:
    """The fast path in a thread: a WSGI application that wraps Django's, the Django path."""

    def __init__(
        self, dispatcher: Dispatcher, django_application: Callable[..., Iterable[bytes]]
    ) -> None:
        self.dispatcher, self.django_application = dispatcher, django_application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response = self.take(environ)
        if response is None:
            return self.django_application(environ, start_response)
        status, fields, body = response
        start_response(f"{status} {http.HTTPStatus(status).phrase}", fields)
        return [body]

    def take(self, environ: dict[str, Any]) -> tuple[int, Fields, bytes] | None:
        """Return status, headers and body, None to leave the request to the Django path.

        Then ``wsgi.input`` is rewound and can be read again.
        """
        match = self.dispatcher.find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if match is None or environ["SCRIPT_NAME"] or errors.COUNTED in environ:
            return None
        view, numbers = match
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > view.max_body_bytes:
            return None
        started = time.perf_counter()
        request = _read(environ, length)
        token = request_id.current.set(request_id.choose(request.headers.get("x-request-id")))
        try:
            response = self._answer(request, view, numbers)
            if response is None:
                environ[errors.COUNTED] = request.counted
                return None
            request_id.log(request.method, request.path, response.status, started)
            return response.status, all_headers(request, response, view), response.body
        finally:
            request_id.current.reset(token)

    def _answer(self, request: Request, view: View, numbers: tuple[int, ...]) -> Response | None:
        started = time.perf_counter()
        try:
            return drive(self.dispatcher.take(request, view, numbers, _fetch))
        except (OperationalError, InterfaceError) as error:
            return None if time.perf_counter() - started < RETRY_SECONDS else unavailable(error)
        except (DatabaseError, errors.DomainError):
            return None
        except Exception:
            logger.exception("The fast path failed on %s %s", request.method, request.path)
            return failed(view)


def failed(view: View) -> Response | None:
    """Return the response after an unexpected exception: 500 for a write, None for a read.

    A write must not be retried; a read is left to the Django path.
    """
    if not view.max_body_bytes:
        return None
    problem = errors.problem(500, *errors.INTERNAL_ERROR)
    return Response(render(problem), 500, {}, errors.CONTENT_TYPE)


def drive(coroutine: Coroutine[Any, Any, Response | None]) -> Response | None:
    """Return the result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        response: Response | None = done.value
        return response
    raise RuntimeError("In a thread nothing may wait on an event loop.")


async def _fetch(query: Bindable, **values: Any) -> list[Row]:
    return query.fetch(**values)


def _read(environ: dict[str, Any], length: int) -> Request:
    """Return the request of a WSGI environment."""
    fields = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    fields["content-type"] = environ.get("CONTENT_TYPE", "")
    body = b""
    if length:
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"].seek(0)
    return Request(
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ.get("QUERY_STRING", ""),
        fields,
        environ["wsgi.url_scheme"],
        body,
    )


@functools.cache
def _dispatcher() -> Dispatcher:
    paths = settings.FAST_PATH_VIEWS if settings.FAST_PATH else ()
    views = [view for path in paths for view in import_string(path)]
    return Dispatcher(views, authenticate=import_string(settings.FAST_PATH_AUTHENTICATOR))


def sync_transport(django_application: Callable[..., Iterable[bytes]]) -> SyncTransport:
    """Return the transport that runs in threads and wraps a WSGI application."""
    return SyncTransport(_dispatcher(), django_application)


def async_transport() -> AsyncTransport | None:
    """Return the transport for the event loop, None if the database needs threads (SQLite)."""
    if connection.vendor != "postgresql":
        return None
    reads = Connections(settings.WEB_THREADS)
    writes = Connections(settings.WEB_THREADS, WRITE_OPTIONS)
    return AsyncTransport(_dispatcher(), reads=reads, writes=writes)
