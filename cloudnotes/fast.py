"""The fast road: what most requests are, answered without what most requests do not need.

A few addresses take nearly all the requests, and nearly all of those are ordinary: a good token, a
note that is there, a body that is right. Such a request takes this road. Its :class:`View` is
found, its token is read, the view asks its compiled queries and returns an :class:`Answer`, and
the headers that every answer has are added. No middleware, no DRF, no serializer.

Whatever is not ordinary (a refusal, an error, a header that asks for something rare) takes the
plain road: the view returns None, and Django, DRF and the viewset answer the request from its
beginning as if this module did not exist. So every rare case has one implementation, and here is
only the happy end of the common ones. ``tests/cloudnotes/test_fast.py`` holds both roads to the
same answers.

There are two ways to travel it, and a view does not know which:

- :class:`LoopRoad`, on the event loop: views that read, on PostgreSQL. No thread is needed, which
  cost more than the rest of such a request.
- :class:`ThreadRoad`, in a thread: views that write, and on SQLite all. A write calls the same
  action as on the plain road, and Django's connection stays with its thread in between.

What a request may do is decided where it always is: queries begin with ``visible_to``, the token's
scopes are asked for, and a session that was revoked is refused by the very next request.
"""

import asyncio
import functools
import http
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from accounts import authentication, permissions
from accounts.models import User
from cloudnotes import errors, headers, parsers, request_id, throttling
from cloudnotes.bodies import MEMORY_BYTES
from cloudnotes.connections import Connections
from cloudnotes.queries import Fetch, Query, Row

Message = dict[str, Any]
Fields = list[tuple[str, str]]
# Where the database fails sooner, the plain road may try in what is left of ten seconds.
RETRY_SECONDS = 2.0
# Where a request has one of these, the plain road knows what to do.
RARE = ("cookie", "expect", "idempotency-key", "prefer", "transfer-encoding", "upgrade")
# What the event loop knows of a write, and for how long: a revoked session ends within a second.
ADMITTED = "cloudnotes.admitted"
ADMITTED_SECONDS = 0.5
MAX_HOST_LENGTH = 255
MAX_BODY_BYTES = MEMORY_BYTES  # a larger one lies on disk
JSON = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
ANY_TYPE = re.compile(r"[\w/+.; =-]*", re.ASCII)  # of a body that is not there

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked:
    """A request for a view, with ``headers`` by lower-case name.

    ``root`` is such as ``https://notes.example.org``; ``counted`` is what is left of the user's
    limit once the request has been counted.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    scheme: str
    body: bytes = b""
    root: str = ""
    counted: errors.RateLimit | None = None

    @property
    def address(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def json(self) -> Any:
        """Return the value of the body. Raises ParseError."""
        return parsers.read_json(self.body)


@dataclass(slots=True)
class Answer:
    """What a view says; ``headers`` are its own."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class View:
    """What a method does at ``path``, or at a number below it.

    ``allow`` lists the methods of the plain view, ``scope`` is what a personal access token needs.
    """

    method: ClassVar = "GET"
    path: ClassVar[str]
    has_number: ClassVar = False
    allow: ClassVar[str]
    scope: ClassVar[str]
    max_body_bytes: ClassVar = 0

    async def answer(self, asked: Asked, user: User, fetch: Fetch, *numbers: int) -> Answer | None:
        """Return the answer, or None, with nothing changed, for the plain road to give it.

        Exceptions of the database, and refusals by an action, are for the plain road too, which
        asks again. So a view that writes answers :func:`unavailable` where it cannot know whether
        it has written, and asks nothing after that.
        """
        raise NotImplementedError


class WriteView(View):
    """A view that writes: what it reads before may run on an event loop, the rest in a thread.

    ``max_body_bytes`` is at most :data:`MAX_BODY_BYTES`.
    """

    max_body_bytes = MAX_BODY_BYTES

    async def answer(self, asked: Asked, user: User, fetch: Fetch, *numbers: int) -> Answer | None:
        found = await self.read(asked, user, fetch, *numbers)
        return None if found is None else self.write(asked, user, found)

    async def read(self, asked: Asked, user: User, fetch: Fetch, *numbers: int) -> Any:
        """Return what is to be written to, None for the plain road; the body is not there yet."""
        raise NotImplementedError

    def write(self, asked: Asked, user: User, found: Any) -> Answer | None:
        """Carry out the write to what :meth:`read` has found."""
        raise NotImplementedError


@dataclass(slots=True)
class Admitted:
    """A write that has come as far as an event loop takes it; ``at`` is when, by perf_counter."""

    user: User
    found: Any
    root: str
    counted: errors.RateLimit | None
    at: float


class Road:
    """The views, and what is the same for all of them."""

    def __init__(self, views: Iterable[View]) -> None:
        self.collections = {(view.method, view.path): view for view in views if not view.has_number}
        self.members = {(view.method, view.path): view for view in views if view.has_number}

    def find(self, method: str, path: str) -> tuple[View, tuple[int, ...]] | None:
        """Return the view for a path and the number in it."""
        if view := self.collections.get((method, path)):
            return view, ()
        start, _, end = path.rpartition("/")
        view = self.members.get((method, start))
        is_number = end.isascii() and end.isdigit() and len(end) < 19
        return (view, (int(end),)) if view and is_number else None

    async def take(
        self, asked: Asked, view: View, numbers: tuple[int, ...], fetch: Fetch
    ) -> Answer | None:
        """Return the answer to a request, None if it is for the plain road."""
        user = await self.admit(asked, view, fetch)
        return None if user is None else await view.answer(asked, user, fetch, *numbers)

    async def admit(self, asked: Asked, view: View, fetch: Fetch) -> User | None:
        """Return who asks, if they may and nothing about the request is for the plain road."""
        if not _is_ordinary(asked, view):
            return None
        known = await authentication.recognize(asked.headers.get("authorization", ""), fetch)
        if known is None:
            return None
        user, scopes = known
        if scopes is not None and not permissions.grants(scopes, view.scope):
            return None
        if settings.RATE_LIMITS and not asked.counted:
            is_allowed, status = await _count(user)
            if not is_allowed:
                return None
            asked.counted = status
        return user


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
        if len(fields) < len(scope["headers"]):
            return False
        if not view.max_body_bytes and fields.get("content-length", "0") != "0":
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
            for name, value in _headers(asked, answer, view)
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
            return answer.status, _headers(asked, answer, view), answer.body
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


def unavailable(error: Exception | None = None) -> Answer:
    """Return the problem of a database that cannot be used: 503."""
    told = errors.describe(error or OperationalError("no answer in time"))
    more = {"Retry-After": str(errors.RETRY_SECONDS)}
    return Answer(render(told), 503, more, errors.CONTENT_TYPE)


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


def _is_ordinary(asked: Asked, view: View) -> bool:
    """Return whether nothing about a request needs Django; sets its ``root``."""
    fields = asked.headers
    is_secure = asked.scheme == "https"
    if settings.SECURE_PROXY_SSL_HEADER:
        forwarded = fields.get("x-forwarded-proto", asked.scheme)
        is_secure = forwarded.partition(",")[0].strip() == "https"
    host = fields.get("host", "")
    asked.root = f"{'https' if is_secure else 'http'}://{host}"
    content_type = JSON if view.max_body_bytes else ANY_TYPE
    return (
        not any(name in fields for name in RARE)
        and content_type.fullmatch(fields.get("content-type", "")) is not None
        and fields.get("origin", "") in ("", *settings.CORS_ALLOWED_ORIGINS)
        and (is_secure or not settings.SECURE_SSL_REDIRECT)
        and not settings.DEBUG
        and len(host) <= MAX_HOST_LENGTH
        and _is_ours(host, *settings.ALLOWED_HOSTS)
    )


@functools.lru_cache(1024)
def _is_ours(host: str, *allowed: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


async def _count(user: User) -> tuple[bool, errors.RateLimit]:
    """Count a request of a user. On an event loop, not on the loop itself where Redis is asked."""
    try:
        loop = asyncio.get_running_loop() if settings.REDIS_URL else None
    except RuntimeError:
        loop = None
    if loop is None:
        return throttling.count("api", str(user.pk))
    return await loop.run_in_executor(None, throttling.count, "api", str(user.pk))


def _headers(asked: Asked, answer: Answer, view: View) -> Fields:
    """Return all headers of an answer: its own, and those that middleware adds elsewhere."""
    fields = {**headers.DATA, "Allow": view.allow, "Vary": "origin", **answer.headers}
    if answer.status != 304:
        fields["Content-Type"] = answer.content_type
        fields["Content-Length"] = str(len(answer.body))
    if asked.counted:
        fields |= throttling.describe(asked.counted)
    if origin := asked.headers.get("origin"):
        fields["Access-Control-Allow-Origin"] = origin
        fields["Access-Control-Expose-Headers"] = ", ".join(settings.CORS_EXPOSE_HEADERS)
    if settings.SECURE_HSTS_SECONDS and asked.root.startswith("https:"):
        fields["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
    fields[request_id.HEADER] = request_id.current.get()
    return list(fields.items())


def render(value: Any) -> bytes:
    """Return a value as JSON, to the byte as DRF's renderer writes it."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    if body.isascii():
        return body
    return body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


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
