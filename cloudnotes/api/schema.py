"""The description of the API in OpenAPI 3.1 (drf-spectacular)."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

PROBLEM = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.CharField(),
        "errors": inline_serializer(
            "ProblemField",
            {
                "field": serializers.CharField(),
                "code": serializers.CharField(),
                "detail": serializers.CharField(),
            },
            many=True,
        ),
        "request_id": serializers.CharField(),
    },
)
ANYWHERE = {
    400: "The request is malformed or not valid.",
    429: "A limit is used up; there is room again after `Retry-After` seconds.",
    500: "A bug of ours; it has been logged.",
    503: "The service is briefly unavailable; try again after `Retry-After` seconds.",
}
WITH_A_TOKEN = {401: "The bearer token is missing, wrong, expired or revoked."}
WITH_AN_ID = {404: "There is nothing here that you may see."}
WITH_A_BODY = {
    409: "What this belongs to was deleted meanwhile.",
    413: "The body is too large.",
    415: "The Content-Type is not one that this operation takes.",
}
WITH_A_KEY = {
    409: "A request with this `Idempotency-Key` is under way (`request_in_progress`).",
    422: "The `Idempotency-Key` was used for another request (`idempotency_key_reused`).",
}
WITH_A_PRECONDITION = {
    412: "The note is in another version than `If-Match` names; `current` is the note as it is.",
    428: "The account requires `If-Match`.",
}
IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string"},
    OpenApiParameter.HEADER,
    description="The `ETag` of the note that is changed, or `*`.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    {"type": "string"},
    OpenApiParameter.HEADER,
    description="The `ETag` that the client has already.",
)
ETAG = OpenApiParameter(
    "ETag",
    {"type": "string"},
    OpenApiParameter.HEADER,
    response=[200, 204, 304],
    description="The version of the note in quotes; of a list, what changes with any note.",
)
KEY = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        OpenApiParameter.HEADER,
        description="New for each new request, a UUID for example. The same request sent again "
        "within 24 hours has no effect and is answered as the first one was, if that had one.",
    ),
    OpenApiParameter(
        "Idempotent-Replayed",
        {"type": "string", "const": "true"},
        OpenApiParameter.HEADER,
        response=[200, 201, 202, 204],
        description="Where the answer is the one that was given to this request before.",
    ),
]


class APISchema(AutoSchema):
    """drf-spectacular's schema of an operation, with the problems that it can return.

    Attributes of a view add to it: ``problems``, texts by status; ``delete_takes``, the serializer
    of a DELETE with a body; ``conditional``, the methods that check preconditions of a resource.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = {"schema": self.resolve_serializer(PROBLEM, "response").ref}
        for status, text in self._problems().items():
            response = {"description": text, "content": {"application/problem+json": problem}}
            operation["responses"].setdefault(str(status), response)
        body_serializer = getattr(self.view, "delete_takes", None)
        if self.method == "DELETE" and body_serializer is not None:
            body = {"schema": self.resolve_serializer(body_serializer, "request").ref}
            operation["requestBody"] = {"content": {"application/json": body}, "required": True}
        return operation

    def get_override_parameters(self) -> Any:
        parameters = [*KEY] if self._takes_key() else []
        if self._is_conditional():
            parameters += [IF_NONE_MATCH if self.method == "GET" else IF_MATCH, ETAG]
        view: Any = self.view
        query = view.get_query_serializer()
        return [*super().get_override_parameters(), *([query] if query else []), *parameters]

    def _is_conditional(self) -> bool:
        is_known = "{" in self.path or self.method == "GET"
        return is_known and self.method in getattr(self.view, "conditional", ())

    def _takes_key(self) -> bool:
        return self.method == "POST" and bool(self.view.get_authenticators())

    def _problems(self) -> dict[int, str]:
        problems = dict(ANYWHERE)
        if self.view.get_authenticators():
            problems |= WITH_A_TOKEN
        if "{" in self.path:
            problems |= WITH_AN_ID
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            problems |= WITH_A_BODY
        if self._is_conditional() and self.method != "GET":
            problems |= WITH_A_PRECONDITION
        problems |= getattr(self.view, "problems", {})
        if self._takes_key():
            for status, text in WITH_A_KEY.items():
                problems[status] = f"{problems.get(status, '')} {text}".strip()
        return problems


def canonical_only(endpoints: list[Any], **kwargs: Any) -> list[Any]:
    """Leave out what is not under the canonical prefix (a drf-spectacular hook)."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


def suit_generators(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Write the description as generated clients need it (a drf-spectacular hook).

    Whole numbers have 64 bits. Bodies have no ``default``: generated clients send it, and so empty
    what the user did not mean to change. They have no members but those that are described.
    """
    for schema in _walk(result):
        if schema.get("type") == "integer":
            schema.setdefault("format", "int64")
    schemas = result.get("components", {}).get("schemas", {})
    pending = [
        operation["requestBody"]
        for path in result.get("paths", {}).values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    seen = set()
    while pending:
        for schema in _walk(pending.pop()):
            schema.pop("default", None)
            if schema.get("type") == "object" and "properties" in schema:
                schema.setdefault("additionalProperties", False)
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                pending.append(schemas[name])
    return result


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a JSON value."""
    if isinstance(value, dict):
        yield value
        for member in [*value.values()]:
            yield from _walk(member)
    elif isinstance(value, list):
        for member in value:
            yield from _walk(member)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped there
    """How a client authenticates: by the OAuth2 password form, or with an existing token."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = ["oauth2", "token"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        token_url, refresh_url = "/api/v1/auth/login", "/api/v1/auth/refresh"
        flow = {"tokenUrl": token_url, "refreshUrl": refresh_url, "scopes": {}}
        return [
            {"type": "oauth2", "flows": {"password": flow}},
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Return alternatives: one of the two schemes is enough."""
        return [{name: []} for name in self.name]
