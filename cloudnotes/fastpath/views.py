"""The fast path: what most requests are, answered without what most requests do not need.

A few addresses take nearly all the requests, and nearly all of those are ordinary: a good token, a
note that is there, a body that is right. Such a request takes this path. Its :class:`View` is
found, its token is read, the view asks its compiled queries and returns an :class:`Response`, and
the headers that every answer has are added. No middleware, no DRF, no serializer.

Whatever is not ordinary (a refusal, an error, a header that asks for something rare) takes the
Django path: the view returns None, and Django, DRF and the viewset answer the request from its
beginning as if this module did not exist. So every rare case has one implementation, and here is
only the happy end of the common ones. ``tests/cloudnotes/test_fast.py`` holds both paths to the
same answers.

It has two transports, and a view does not know which:

- ``dispatch.AsyncTransport``, on the event loop, on PostgreSQL. No thread is needed, which costs
  more than the rest of a request.
- ``dispatch.SyncTransport``, in a thread, on SQLite, and for what the loop cannot read (a header
  that comes twice). Django's connection stays with its thread in between. Tests of views take this
  one on both databases.

What a request may do is decided where it always is: queries begin with ``visible_to``, the token's
scopes are request for, and a session that was revoked is refused by the very next request.
"""

import asyncio
import functools
import re
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import orjson
import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http.request import split_domain_port, validate_host

from cloudnotes.api import errors, headers, parsers, request_id, throttling
from cloudnotes.db.compiled_queries import Executor

Fields = list[tuple[str, str]]
# Where a request has one of these, the Django path knows what to do.
RARE = ("cookie", "expect", "idempotency-key", "prefer", "transfer-encoding", "upgrade")
# After these nobody knows whether a write was made.
UNKNOWN = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    OSError,
)
MAX_HOST_LENGTH = 255
MAX_BODY_BYTES = 64 * 2**10  # a larger one would hold up the event loop
JSON = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
ANY_TYPE = re.compile(r"[\w/+.; =-]*", re.ASCII)  # of a body that is not there


@dataclass(slots=True)
class Request:
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
class Response:
    """What a view says; ``headers`` are its own."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Known(Protocol):
    """Who asks, as the authenticator knows them; views know more about them."""

    @property
    def pk(self) -> int: ...


class Authenticator(Protocol):
    """Returns who sent an ``Authorization`` header, if their token has a scope.

    None leaves the request to the Django path. Raises what ``fetch`` raises. Named in the setting
    ``FAST_PATH_AUTHENTICATOR``, as DRF's are in its settings.
    """

    def __call__(
        self, authorization: str, scope: str, fetch: Executor
    ) -> Awaitable[Known | None]: ...


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

    def takes(self, query: str) -> bool:
        """Return whether a request with this query, without its ``?``, can be an ordinary one."""
        return not query

    async def answer(
        self, request: Request, user: Any, fetch: Executor, *numbers: int
    ) -> Response | None:
        """Return the answer, or None, with nothing changed, for the Django path to give it.

        Exceptions of the database, and refusals by an action, are for the Django path too, which
        asks again. So a view that writes answers :func:`unavailable` to ``UNKNOWN``, which leaves
        open whether it has written, and asks nothing after that.
        """
        raise NotImplementedError  # each view has its own


class Dispatcher:
    """The views, and what is the same for all of them."""

    def __init__(self, views: Collection[View], authenticate: Authenticator) -> None:
        self.authenticate = authenticate
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
        self, request: Request, view: View, numbers: tuple[int, ...], fetch: Executor
    ) -> Response | None:
        """Return the answer to a request, None if it is for the Django path."""
        user = await self.admit(request, view, fetch)
        return None if user is None else await view.answer(request, user, fetch, *numbers)

    async def admit(self, request: Request, view: View, fetch: Executor) -> Known | None:
        """Return who asks, if they may and nothing about the request is for the Django path."""
        if not _is_ordinary(request, view):
            return None
        authorization = request.headers.get("authorization", "")
        user = await self.authenticate(authorization, view.scope, fetch)
        if user is None:
            return None
        if settings.RATE_LIMITS:
            is_allowed, status = await _count(user)
            if not is_allowed:
                return None
            request.counted = status
        return user


def unavailable(error: Exception | None = None) -> Response:
    """Return the problem of a database that cannot be used: 503."""
    if not isinstance(error, OperationalError | InterfaceError):
        error = OperationalError(str(error or "no answer in time"))
    problem = errors.describe(error)
    extra_headers = {"Retry-After": str(errors.RETRY_SECONDS)}
    return Response(render(problem), 503, extra_headers, errors.CONTENT_TYPE)


def _is_ordinary(request: Request, view: View) -> bool:
    """Return whether nothing about a request needs Django; sets its ``root``."""
    fields = request.headers
    is_secure = request.scheme == "https"
    if settings.SECURE_PROXY_SSL_HEADER:
        forwarded = fields.get("x-forwarded-proto", request.scheme)
        is_secure = forwarded.partition(",")[0].strip() == "https"
    host = fields.get("host", "")
    request.root = f"{'https' if is_secure else 'http'}://{host}"
    content_type = JSON if view.max_body_bytes else ANY_TYPE
    return (
        view.takes(request.query)
        and not any(name in fields for name in RARE)
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


async def _count(user: Known) -> tuple[bool, errors.RateLimit]:
    """Count a request of a user; on an event loop in a thread, where Redis is asked."""
    try:
        loop = asyncio.get_running_loop() if settings.REDIS_URL else None
    except RuntimeError:
        loop = None
    if loop is None:
        return throttling.count("api", str(user.pk))
    return await loop.run_in_executor(None, throttling.count, "api", str(user.pk))


def all_headers(request: Request, response: Response, view: View) -> Fields:
    """Return all headers of an answer: its own, and those that middleware adds elsewhere."""
    fields = {**headers.DATA, "Allow": view.allow, "Vary": "origin", **response.headers}
    if response.status != 304:
        fields["Content-Type"] = response.content_type
        fields["Content-Length"] = str(len(response.body))
    if request.counted:
        fields |= throttling.describe(request.counted)
    if origin := request.headers.get("origin"):
        fields["Access-Control-Allow-Origin"] = origin
        fields["Access-Control-Expose-Headers"] = ", ".join(settings.CORS_EXPOSE_HEADERS)
    if settings.SECURE_HSTS_SECONDS and request.root.startswith("https:"):
        fields["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
    fields[request_id.HEADER] = request_id.current.get()
    return list(fields.items())


def render(value: Any) -> bytes:
    """Return a value as JSON, to the byte as DRF's renderer writes it."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    if body.isascii():
        return body
    return body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
