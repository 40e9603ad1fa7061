"""Request bodies: strict JSON, whatever the Accept header says."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from cloudnotes.api import errors

SMALL_JSON_BYTES = 64 * 2**10
MAX_OBJECTS = 10_000
BOM = b"\xef\xbb\xbf"  # which a parser may ignore (RFC 8259, 8.1)

# Escapes that can put a NUL or half a surrogate pair into a string; strict UTF-8 has neither.
_SUSPICIOUS = re.compile(rb"\\u(0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class JSONParser(BaseParser):
    """JSON (RFC 8259), limited to values that can be stored and read back.

    Refused with 400: bad UTF-8, NaN and Infinity, numbers beyond a double or 4,300 digits,
    duplicate names, NUL, lone surrogates (one stored on SQLite makes every later list fail) and
    nesting too deep to read. A body above the view's ``max_json_bytes`` (64 KiB unless it says
    otherwise) is refused with 413, and one of more than ``MAX_OBJECTS`` objects with 400: 8 MiB of
    small objects took 680 MB of memory.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = parser_context or {}
        limit = getattr(context["view"], "max_json_bytes", SMALL_JSON_BYTES)
        if int(context["request"].META.get("CONTENT_LENGTH") or 0) > limit:
            raise RequestDataTooBig  # before the body is read
        return read_json(stream.read(limit))


class FormParser(BaseParser):
    """``application/x-www-form-urlencoded`` in UTF-8, as large as the view's JSON may be."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> QueryDict:
        context = parser_context or {}
        limit = getattr(context["view"], "max_json_bytes", SMALL_JSON_BYTES)
        if int(context["request"].META.get("CONTENT_LENGTH") or 0) > limit:
            raise RequestDataTooBig  # before the body is read
        form = QueryDict(stream.read(limit), encoding="utf-8")
        for name, values in form.lists():
            if _UNSTORABLE.search("".join([name, *values])):
                raise ParseError("The form holds a NUL or half of a surrogate pair.")
        return form


def read_json(body: bytes) -> Any:
    """Return the value of a body. Raises ParseError for what :class:`JSONParser` refuses."""
    try:
        value = json.loads(
            body.removeprefix(BOM).decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_Objects(),
        )
    except RecursionError:
        raise ParseError("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise ParseError(f"The body is not valid JSON: {_printable(str(error))}.") from None
    if _SUSPICIOUS.search(body) and _unstorable(value):
        raise ParseError("The JSON holds a NUL or half of a surrogate pair in a string.")
    return value


class JSONAlways(BaseContentNegotiation):
    """Picks a parser by Content-Type, and always the view's first renderer."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ContentEncodingMiddleware:
    """Refuses packed bodies with 415 (RFC 9110, 15.5.16): they would be stored as they are."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return self.get_response(request)
        response = errors.respond(
            415, "unsupported_encoding", "Send the body as it is, without Content-Encoding."
        )
        response.headers["Accept-Encoding"] = "identity"
        return response


class UTF8Middleware:
    """Decodes every request as UTF-8, whatever charset its Content-Type names.

    Django decodes queries and forms with the codec of that name. ``hex`` and ``idna`` are codecs
    too, and they raise unexpected exceptions.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise SuspiciousOperation("NUL in the query")  # PostgreSQL cannot store it
        if any("\0" in value for value in request.COOKIES.values()):
            raise SuspiciousOperation("NUL in a cookie")  # written \000 in it
        request.encoding = "utf-8"
        return self.get_response(request)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


class _Objects:
    """Makes the objects of one body; refuses duplicate names and too many objects."""

    def __init__(self) -> None:
        self.left = MAX_OBJECTS

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it has more than {MAX_OBJECTS} objects")
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError("a name occurs twice in one object")
        return members


def _unstorable(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item):
                return True
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
    return False


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
