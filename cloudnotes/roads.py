"""The two ways to travel the fast road (``cloudnotes.fast``): on an event loop and in a thread."""

import functools
import http
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.utils.module_loading import import_string

from cloudnotes import errors, request_id
from cloudnotes.connections import Connections
from cloudnotes.fast import (
    Admitted,
    Answer,
    Asked,
    Fields,
    Road,
    View,
    WriteView,
    all_headers,
    render,
    unavailable,
)
from cloudnotes.queries import Query, Row

Message = dict[str, Any]
# Where the database fails sooner, the plain road may try in what is left of ten seconds.
RETRY_SECONDS = 2.0
# What the event loop knows of a write, and for how long: a revoked session ends within a second.
ADMITTED = "cloudnotes.admitted"
ADMITTED_SECONDS = 0.5

logger = logging.getLogger(__name__)


class LoopRoad:
    """The road on an event loop: all of it for views that read, the first part of a write."""

    def __init__(self, road: Road, connections: Connections) -> None:
        self.road, self.connections = road, connections

    async def __call__(self, scope: Message, send: Callable[[Message], Awaitable[None]]) -> bool:
        """Answer an HTTP scope and return True, or return False for a thread to take it."""
        found = self.road.find(scope["method"], scope["raw_path"].decode("latin-1"))
        if found is None or scope.get("root_path"):
            return False
        started = time.perf_counter()
        view, numbers = found
        fields = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        length = fields.get("content-length", "0")
        if len(fields) < len(scope["headers"]) or int(length) > view.max_body_bytes:
            return False
        query = scope["query_string"].decode("latin-1")
        asked = Asked(scope["method"], scope["path"], query, fields, scope["scheme"])
        name = scope[request_id.HEADER] = request_id.choose(fields.get("x-request-id"))
        request_id.current.set(name)
        if isinstance(view, WriteView):
            scope.update(await self._admit(asked, view, numbers))
            return False
        answer = await self._answer(asked, view, numbers)
        if answer is None:
            scope[errors.COUNTED] = asked.counted
            return False
        raw = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in all_headers(asked, answer, view)
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})
        request_id.log(asked.method, asked.path, answer.status, started)
        return True

    async def _admit(
        self, asked: Asked, view: WriteView, numbers: tuple[int, ...]
    ) -> dict[str, Any]:
        """Return what the thread that carries out a write is to know."""
        fetch = self.connections.fetch
        try:
            user = await self.road.admit(asked, view, fetch)
            found = None if user is None else await view.read(asked, user, fetch, *numbers)
        except (psycopg.Error, OSError):
            user = found = None
        except Exception:
            logger.exception("The fast road failed on %s %s", asked.method, asked.path)
            user = found = None
        if user is None or found is None:
            return {errors.COUNTED: asked.counted}
        now = time.perf_counter()
        return {ADMITTED: Admitted(user, found, asked.root, asked.counted, now)}

    async def _answer(self, asked: Asked, view: View, numbers: tuple[int, ...]) -> Answer | None:
        started = time.perf_counter()
        try:
            return await self.road.take(asked, view, numbers, self.connections.fetch)
        except (psycopg.Error, OSError):
            # A connection that broke, or the database has gone.
            return None if time.perf_counter() - started < RETRY_SECONDS else unavailable()
        except Exception:
            logger.exception("The fast road failed on %s %s", asked.method, asked.path)
            return None

    def close(self) -> None:
        """Close the connections that are idle."""
        self.connections.close()


class ThreadRoad:
    """The road in a thread: a WSGI application in front of another one, the ``plain`` road."""

    def __init__(self, road: Road, plain: Callable[..., Iterable[bytes]]) -> None:
        self.road, self.plain = road, plain

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told = self.take(environ)
        if told is None:
            return self.plain(environ, start_response)
        status, fields, body = told
        start_response(f"{status} {http.HTTPStatus(status).phrase}", fields)
        return [body]

    def take(self, environ: dict[str, Any]) -> tuple[int, Fields, bytes] | None:
        """Return status, headers and body, None for the plain road to take the request.

        What was read of ``wsgi.input`` can be read again then.
        """
        found = self.road.find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if found is None or environ["SCRIPT_NAME"] or errors.COUNTED in environ:
            return None
        view, numbers = found
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > view.max_body_bytes:
            return None
        started = time.perf_counter()
        asked = _read(environ, length)
        token = request_id.current.set(request_id.choose(asked.headers.get("x-request-id")))
        try:
            answer = self._answer(asked, view, numbers, environ.get(ADMITTED))
            if answer is None:
                environ[errors.COUNTED] = asked.counted
                return None
            request_id.log(asked.method, asked.path, answer.status, started)
            return answer.status, all_headers(asked, answer, view), answer.body
        finally:
            request_id.current.reset(token)

    def _answer(
        self, asked: Asked, view: View, numbers: tuple[int, ...], admitted: Admitted | None
    ) -> Answer | None:
        started = time.perf_counter()
        try:
            if admitted and isinstance(view, WriteView):
                asked.root, asked.counted = admitted.root, admitted.counted
                if started - admitted.at < ADMITTED_SECONDS:
                    return view.write(asked, admitted.user, admitted.found)
            return drive(self.road.take(asked, view, numbers, _fetch))
        except (OperationalError, InterfaceError) as error:
            return None if time.perf_counter() - started < RETRY_SECONDS else unavailable(error)
        except (DatabaseError, errors.DomainError):
            return None
        except Exception:
            logger.exception("The fast road failed on %s %s", asked.method, asked.path)
            if not view.max_body_bytes:
                return None
            told = errors.problem(500, *errors.INTERNAL_ERROR)
            return Answer(render(told), 500, {}, errors.CONTENT_TYPE)


def drive(coroutine: Coroutine[Any, Any, Answer | None]) -> Answer | None:
    """Return what a coroutine returns that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        answer: Answer | None = done.value
        return answer
    raise RuntimeError("In a thread nothing may wait on an event loop.")


async def _fetch(query: Query, **values: Any) -> list[Row]:
    return query.fetch(**values)


def _read(environ: dict[str, Any], length: int) -> Asked:
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
    return Asked(
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ.get("QUERY_STRING", ""),
        fields,
        environ["wsgi.url_scheme"],
        body,
    )


@functools.cache
def _road() -> Road:
    return Road(import_string(settings.FAST_VIEWS) if settings.FAST_ROAD else ())


def thread_road(plain: Callable[..., Iterable[bytes]]) -> ThreadRoad:
    """Return the road that runs in threads, before a WSGI application."""
    return ThreadRoad(_road(), plain)


def loop_road() -> LoopRoad | None:
    """Return the road of this process's event loop, None where the database needs threads."""
    if connection.vendor != "postgresql":
        return None
    return LoopRoad(_road(), Connections(settings.WEB_THREADS))
