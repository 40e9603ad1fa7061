"""One shape for every error: RFC 9457 ``application/problem+json``.

A problem has ``type``, ``title``, ``status``, ``detail`` (a sentence), ``code`` (stable, for
programs), ``errors`` (a list of ``{field, code, detail}``) and ``request_id``.
"""

import functools
import http
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from django.db.models import BaseConstraint
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.urls import Resolver404
from django.views.csrf import csrf_failure as django_csrf_failure
from rest_framework import exceptions as drf
from rest_framework.response import Response

from cloudnotes.api import headers, request_id

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5
# In the META of a request that the fast path passed on: its rate limit, None if not counted.
COUNTED = "cloudnotes.rate_limit"
INTERNAL_ERROR = ("internal_error", "Something went wrong on our side. It has been logged.")

logger = logging.getLogger(__name__)

Errors = list[dict[str, str]]


class DomainError(Exception):
    """An error of the domain that clients see as a problem.

    A subclass is defined beside the function that raises it. It sets ``status``, ``code`` and, as
    its message, a full sentence that says what to do. ``field`` names the wrong input, if there is
    one. ``members`` are extension members for programs (RFC 9457, 3.2). ``wait`` is the number of
    seconds after which a retry may succeed, if any (``Retry-After``).
    """

    status = 400
    code = "refused"
    detail = "The request cannot be carried out."
    field: str | None = None
    wait: float | None = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)
        self.members: dict[str, Any] = {}


@dataclass(frozen=True)
class RateLimit:
    """The state of a limit: ``limit`` requests in ``window`` seconds, ``reset`` seconds left."""

    limit: int
    remaining: int
    window: int
    reset: float


class TooManyRequests(DomainError):
    """A limit is used up; ``wait`` is the number of seconds until a request is allowed again."""

    status = 429
    code = "too_many_requests"
    wait: float

    def __init__(self, detail: str, *, wait: float) -> None:
        super().__init__(detail)
        self.wait = wait


def note_rate_limit(request: Any, status: RateLimit) -> None:
    """Store a request's limit with the fewest remaining, for the ``RateLimit-*`` headers."""
    request = getattr(request, "_request", request)
    scarcest: RateLimit | None = getattr(request, "rate_limit", None)
    if scarcest is None or status.remaining <= scarcest.remaining:
        request.rate_limit = status


def problem(
    status: int, code: str, detail: str, errors: Errors | None = None, **more: Any
) -> dict[str, Any]:
    """Return the members of a problem; ``more`` are extension members (RFC 9457, 3.2)."""
    return {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
        "request_id": request_id.current.get(),
        **more,
    }


def problem_bytes(
    status: int, code: str, detail: str, *, origin: str = ""
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return ASGI headers and body of a problem that is sent without Django.

    The headers are the same as those of the middleware, with CORS headers if the browser's
    ``origin`` is allowed.
    """
    body = json.dumps(problem(status, code, detail)).encode()
    fields = {
        **headers.DATA,
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        request_id.HEADER: request_id.current.get(),
        "Vary": "origin",
    }
    if status == 503:
        fields["Retry-After"] = str(RETRY_SECONDS)
    if origin and origin in settings.CORS_ALLOWED_ORIGINS:
        fields["Access-Control-Allow-Origin"] = origin
        fields["Access-Control-Expose-Headers"] = ", ".join(settings.CORS_EXPOSE_HEADERS)
    if settings.SECURE_HSTS_SECONDS:
        fields["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()], body


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem for an exception raised in an API view, None for an unexpected exception.

    Django logs an unexpected exception with its traceback and calls ``server_error``.
    """
    members = describe(error)
    if members is None:
        return None
    response = Response(members, status=members["status"], content_type=CONTENT_TYPE)
    if challenge := getattr(error, "auth_header", None):
        response.headers["WWW-Authenticate"] = challenge
    if retry_after := _retry_after(error, members["status"]):
        response.headers["Retry-After"] = retry_after
    return response


def answer(error: Exception) -> HttpResponse | None:
    """Return the same as :func:`exception_handler`, for an exception raised outside of views."""
    members = describe(error)
    if members is None:
        return None
    body, status = json.dumps(members), members["status"]
    response = HttpResponse(body, content_type=CONTENT_TYPE, status=status)
    if retry_after := _retry_after(error, status):
        response.headers["Retry-After"] = retry_after
    return response


def _retry_after(error: Exception, status: int) -> str | None:
    """Return the value of ``Retry-After`` in seconds, None if a retry is useless."""
    if isinstance(error, DomainError) and error.wait is not None:
        return str(max(1, math.ceil(error.wait)))
    return str(RETRY_SECONDS) if status == 503 else None


def describe(error: Exception) -> dict[str, Any] | None:
    """Return the problem for an exception, None for an unexpected one."""
    match error:
        case DomainError(status=status, code=code, field=field):
            detail = str(error)
            field_errors = [{"field": field, "code": code, "detail": detail}] if field else []
            return problem(status, code, detail, field_errors, **error.members)
        case drf.ValidationError():
            return _invalid(list(_flatten(error.get_full_details())))
        case ModelValidationError():
            return _invalid(list(_flatten(drf.ValidationError(error.messages).get_full_details())))
        case IntegrityError():
            return _violation(error)
        case DataError():
            logger.error("The database refused a value.", exc_info=error)
            return problem(400, "invalid", "A value is outside of what can be stored.")
        case OperationalError() | InterfaceError():
            logger.error(
                "The database cannot be used: %s", error.__class__.__name__, exc_info=error
            )
            return problem(
                503, "unavailable", "The service is briefly unavailable. Please try again."
            )
        case RequestDataTooBig() | TooManyFieldsSent() | TooManyFilesSent():
            return problem(413, "body_too_large", "The request body is too large.")
        case UnreadablePostError() | RawPostDataException():
            return problem(400, "body_unreadable", "The request body could not be read whole.")
        case Http404() | drf.NotFound():
            return problem(404, "not_found", "There is nothing here that you may see.")
        case PermissionDenied() | drf.PermissionDenied():
            return problem(403, "forbidden", "You may see this, but you may not do that to it.")
        case drf.APIException():
            code = getattr(error.detail, "code", None) or error.default_code
            return problem(error.status_code, code, str(error.detail))
    return None


def _invalid(errors: Errors) -> dict[str, Any]:
    return problem(400, "invalid", "Some of what was sent is not valid; see errors.", errors)


def _flatten(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield ``{field, code, detail}`` for DRF's nested details; names are joined by dots."""
    if isinstance(details, list):
        for entry in details:
            yield from _flatten(entry, path)
    elif set(details) == {"message", "code"} and isinstance(details["message"], str):
        yield {"field": path, "code": details["code"], "detail": str(details["message"])}
    else:
        for name, entry in details.items():
            here = "" if name == "non_field_errors" else str(name)
            yield from _flatten(entry, f"{path}.{here}".strip("."))


def _violation(error: IntegrityError) -> dict[str, Any] | None:
    """Return the problem with the code and message of the violated constraint."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate == "23503" or str(error) == "FOREIGN KEY constraint failed":
        return problem(409, "gone", "What this belongs to was deleted meanwhile.")
    constraint = violated_constraint(error)
    if constraint is None or not constraint.violation_error_code:
        return None
    code, detail = constraint.violation_error_code, str(constraint.get_violation_error_message())
    names = getattr(constraint, "fields", ())
    # An error of a folded column is reported for its original field.
    field_errors = [
        {"field": name.removesuffix("_folded"), "code": code, "detail": detail} for name in names
    ]
    return problem(400, code, detail, field_errors)


def violated_constraint(error: IntegrityError) -> BaseConstraint | None:
    """Return the declared constraint that was violated, None if no model declares it.

    PostgreSQL and SQLite's CHECK report its name; SQLite's UNIQUE reports ``table.column, …``.
    """
    diagnostics = getattr(error.__cause__, "diag", None)
    reported = getattr(diagnostics, "constraint_name", None) or str(error).partition(": ")[2]
    return _constraints().get(reported)


@functools.cache
def _constraints() -> dict[str, BaseConstraint]:
    constraints: dict[str, BaseConstraint] = {}
    for model in apps.get_models():
        table = model._meta.db_table
        for constraint in model._meta.constraints:
            constraints[constraint.name] = constraint
            names = getattr(constraint, "fields", ())
            columns = [getattr(model._meta.get_field(name), "column", "") for name in names]
            constraints[", ".join(f"{table}.{column}" for column in columns)] = constraint
    constraints.pop("", None)
    return constraints


def respond(status: int, code: str, detail: str) -> HttpResponse:
    """Return a problem as a response, for what is refused outside of API views."""
    body = json.dumps(problem(status, code, detail))
    response = HttpResponse(body, content_type=CONTENT_TYPE, status=status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 to what Django itself refuses, such as an unknown Host."""
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return respond(413, "body_too_large", "The request body is too large.")
    if isinstance(exception, DisallowedHost):
        return respond(400, "unknown_host", "This server does not answer for that Host.")
    return respond(400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 outside the API views."""
    return respond(403, "forbidden", "You may not do that.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404, to an unknown address in other words than to a row that may not be seen."""
    if isinstance(exception, Resolver404):
        return respond(
            404, "route_not_found", "There is no such address. /docs shows those there are."
        )
    return respond(404, "not_found", "There is nothing here that you may see.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without internal details; Django has logged the traceback."""
    return respond(500, *INTERNAL_ERROR)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403: with an HTML page in the admin, with a problem everywhere else."""
    if request.path.startswith("/admin/"):
        return django_csrf_failure(request, reason=reason)
    return respond(403, "forbidden", "You may not do that.")


class UnavailableMiddleware:
    """Answers with problems outside of the API too (the admin, pages).

    For database failures, and for the refusals of actions and limits.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError | DomainError):
            return None
        return answer(exception)
