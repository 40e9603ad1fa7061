"""The fast path: answers the most frequent requests without middleware, DRF and serializers.

A few URLs get nearly all requests, and nearly all of those are ordinary: a valid token, a note that
exists, a valid body. Such a request takes this path: :class:`Dispatcher` finds its :class:`View`
and authenticates its token, the view runs its compiled queries and returns a :class:`Response`, and
the transport adds the headers that every response has.

Every other request (a refusal, an error, a rare header) takes the Django path: the view returns
None, and Django, DRF and the viewset answer the request from its beginning, as if this module did
not exist. So every rare case has one implementation, and this one has only the successful common
cases. ``tests/notes/api/test_fast.py`` checks that both paths give the same responses.

There are two transports, and a view does not know which one runs it:

- ``dispatch.AsyncTransport``, on the event loop, on PostgreSQL. It needs no thread; a thread would
  cost more than the rest of a request.
- ``dispatch.SyncTransport``, in a thread, on SQLite, and for requests that the loop cannot read (a
  repeated header). It uses the thread's Django connection. Tests of views use this transport on
  both databases.

Access is decided by the same code as on the Django path: queries begin with ``visible_to``, the
token's scopes are checked, and a revoked session is refused by the very next request.
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
# A request with one of these headers is left to the Django path.
RARE = (
    "content-encoding",
    "cookie",
    "expect",
    "idempotency-key",
    "prefer",
    "transfer-encoding",
    "upgrade",
)
# After these errors it is unknown whether a write was made.
UNKNOWN = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    OSError,
)
MAX_HOST_LENGTH = 255
MAX_BODY_BYTES = 64 * 2**10  # a larger one would block the event loop
JSON = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
ANY_TYPE = re.compile(r"[\w/+.; =-]*", re.ASCII)  # for a request without a body


@dataclass(slots=True)
class Request:
    """A request for a view, with ``headers`` by lower-case name.

    ``root`` is scheme and host, such as ``https://notes.example.org``; ``counted`` is the state of
    the user's rate limit once the request has been counted.
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
    """The response of a view; ``headers`` are those that only this response has."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Known(Protocol):
    """The authenticated user, as the dispatcher needs them; views use the whole model."""

    @property
    def pk(self) -> int: ...


class Authenticator(Protocol):
    """Returns the user of an ``Authorization`` header, if the token has the scope.

    None leaves the request to the Django path. Raises what ``fetch`` raises. Named in the setting
    ``FAST_PATH_AUTHENTICATOR``, as DRF's are in its settings.
    """

    def __call__(
        self, authorization: str, scope: str, fetch: Executor
    ) -> Awaitable[Known | None]: ...


class View:
    """The handler of one method at ``path``, or at ``path/<number>``.

    ``allow`` lists the methods of the Django view; a personal access token needs ``scope``.
    """

    method: ClassVar = "GET"
    path: ClassVar[str]
    has_number: ClassVar = False
    allow: ClassVar[str]
    scope: ClassVar[str]
    max_body_bytes: ClassVar = 0

    def takes(self, query: str) -> bool:
        """Return whether the view can answer a request with this query string (without ``?``)."""
        return not query

    async def answer(
        self, request: Request, user: Any, fetch: Executor, *numbers: int
    ) -> Response | None:
        """Return the response, or None, with nothing changed, to leave it to the Django path.

        Exceptions of the database, and refusals by an action, are left to the Django path too,
        which retries. After an error of ``UNKNOWN`` a write may have been made, so a view that
        writes must return :func:`unavailable` then, and must run no query after its write.
        """
        raise NotImplementedError  # each view implements it


class Dispatcher:
    """Finds the view of a request; authenticates and counts the user."""

    def __init__(self, views: Collection[View], authenticate: Authenticator) -> None:
        self.authenticate = authenticate
        self.collections = {(view.method, view.path): view for view in views if not view.has_number}
        self.members = {(view.method, view.path): view for view in views if view.has_number}

    def find(self, method: str, path: str) -> tuple[View, tuple[int, ...]] | None:
        """Return the view for a path with the number in it, None if there is none."""
        if view := self.collections.get((method, path)):
            return view, ()
        start, _, end = path.rpartition("/")
        view = self.members.get((method, start))
        is_number = end.isascii() and end.isdigit() and len(end) < 19
        return (view, (int(end),)) if view and is_number else None

    async def take(
        self, request: Request, view: View, numbers: tuple[int, ...], fetch: Executor
    ) -> Response | None:
        """Return the response to a request, None to leave it to the Django path."""
        user = await self.admit(request, view, fetch)
        return None if user is None else await view.answer(request, user, fetch, *numbers)

    async def admit(self, request: Request, view: View, fetch: Executor) -> Known | None:
        """Return the user of an ordinary, authenticated request within its limit, else None."""
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
    """Return the problem for a database that cannot be used: 503."""
    if not isinstance(error, OperationalError | InterfaceError):
        error = OperationalError(str(error or "no answer in time"))
    problem = errors.describe(error)
    extra_headers = {"Retry-After": str(errors.RETRY_SECONDS)}
    return Response(render(problem), 503, extra_headers, errors.CONTENT_TYPE)


def _is_ordinary(request: Request, view: View) -> bool:
    """Return whether a request needs nothing of the Django path; set its ``root``."""
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
    """Count a request of a user; with Redis and on an event loop, count it in a thread."""
    try:
        loop = asyncio.get_running_loop() if settings.REDIS_URL else None
    except RuntimeError:
        loop = None
    if loop is None:
        return throttling.count("api", str(user.pk))
    return await loop.run_in_executor(None, throttling.count, "api", str(user.pk))


def all_headers(request: Request, response: Response, view: View) -> Fields:
    """Return all headers of a response: its own and those that middleware would add."""
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
    """Return a value as JSON, byte for byte as DRF's renderer writes it."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    if body.isascii():
        return body
    return body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
