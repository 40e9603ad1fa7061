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
from django.views.csrf import csrf_failure as django_csrf_failure
from rest_framework import exceptions as drf
from rest_framework.response import Response

from cloudnotes.api import headers, request_id

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5
# In the META of a request that the fast path has left: what it was counted as, None if it was not.
COUNTED = "cloudnotes.rate_limit"
INTERNAL_ERROR = ("internal_error", "Something went wrong on our side. It has been logged.")

logger = logging.getLogger(__name__)

Errors = list[dict[str, str]]


class DomainError(Exception):
    """What an action refuses, and why.

    A subclass stands beside the function that raises it and sets ``status``, ``code`` and, as its
    message, a full sentence that says what to do. ``field`` names the input at fault, if one is;
    ``members`` are what else programs need to go on (extension members, RFC 9457, 3.2).
    ``wait`` is in how many seconds it is worth trying again, if it is (``Retry-After``).
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
    """What is left of a limit: requests, of ``limit`` in ``window`` seconds, for ``reset`` more."""

    limit: int
    remaining: int
    window: int
    reset: float


class TooManyRequests(DomainError):
    """A limit is used up; ``wait`` is in how many seconds there is room again."""

    status = 429
    code = "too_many_requests"
    wait: float

    def __init__(self, detail: str, *, wait: float) -> None:
        super().__init__(detail)
        self.wait = wait


def note_rate_limit(request: Any, status: RateLimit) -> None:
    """Remember the scarcest limit that a request has met, for the ``RateLimit-*`` headers."""
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
    """Return ASGI headers and body of a problem that is answered without Django.

    They are what the middleware would have made of it: a browser's ``origin`` may read it if the
    API may be read from there.
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
    """Return the problem for an exception raised in an API view, None for a bug of ours.

    A bug then takes Django's way to ``server_error`` and is logged with its traceback.
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
    """Return what :func:`exception_handler` does, for an exception raised outside of the views."""
    members = describe(error)
    if members is None:
        return None
    body, status = json.dumps(members), members["status"]
    response = HttpResponse(body, content_type=CONTENT_TYPE, status=status)
    if retry_after := _retry_after(error, status):
        response.headers["Retry-After"] = retry_after
    return response


def _retry_after(error: Exception, status: int) -> str | None:
    """Return in how many seconds to try again, as the header says it; None if that is no use."""
    if isinstance(error, DomainError) and error.wait is not None:
        return str(max(1, math.ceil(error.wait)))
    return str(RETRY_SECONDS) if status == 503 else None


def describe(error: Exception) -> dict[str, Any] | None:
    """Return the problem that an exception means, None when it means a bug."""
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
    """Yield ``{field, code, detail}`` for DRF's nested details; nested names are joined by dots."""
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
    """Return the problem that a violated constraint's own code and message describe."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate == "23503" or str(error) == "FOREIGN KEY constraint failed":
        return problem(409, "gone", "What this belongs to was deleted meanwhile.")
    constraint = violated_constraint(error)
    if constraint is None or not constraint.violation_error_code:
        return None
    code, detail = constraint.violation_error_code, str(constraint.get_violation_error_message())
    names = getattr(constraint, "fields", ())
    # A folded copy answers for the field that it was folded from.
    field_errors = [
        {"field": name.removesuffix("_folded"), "code": code, "detail": detail} for name in names
    ]
    return problem(400, code, detail, field_errors)


def violated_constraint(error: IntegrityError) -> BaseConstraint | None:
    """Return the declared constraint that the database refused, None if it is not one of ours.

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


def _respond(status: int, code: str, detail: str) -> HttpResponse:
    body = json.dumps(problem(status, code, detail))
    response = HttpResponse(body, content_type=CONTENT_TYPE, status=status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 to what Django itself refuses, such as a Host that is not ours."""
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return _respond(413, "body_too_large", "The request body is too large.")
    if isinstance(exception, DisallowedHost):
        return _respond(400, "unknown_host", "This server does not answer for that Host.")
    return _respond(400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 outside the API views."""
    return _respond(403, "forbidden", "You may not do that.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 to a path that no route has, exactly as to a row that may not be seen."""
    return _respond(404, "not_found", "There is nothing here that you may see.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without a word about the insides; Django has logged the traceback."""
    return _respond(500, *INTERNAL_ERROR)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403: with a page to people in the admin, with a problem to all others."""
    if request.path.startswith("/admin/"):
        return django_csrf_failure(request, reason=reason)
    return _respond(403, "forbidden", "You may not do that.")


class UnavailableMiddleware:
    """Turns what the API answers as a problem into one outside of it too (the admin, pages).

    That is a database failure, and what an action or a limit refuses.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError | DomainError):
            return None
        return answer(exception)
