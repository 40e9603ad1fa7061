"""Keyset pages: ``{"results": […], "next": cursor | null}``."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from cloudnotes.api import cursors
from cloudnotes.db.expressions import OctetLength

DEFAULT_LIMIT = 20
MAX_LIMIT = 200
PAGE_BYTES = 8 * 2**20
PARAMETERS = ("limit", "cursor", "count")


class KeysetPagination(BasePagination):
    """Pages by ``?limit=`` (1 to 200, default 20) and ``?cursor=``, newest first.

    The order is the view's ``keyset`` column descending, then the primary key descending. So a
    deep page costs as much as the first one, and new rows do not shift it. ``?count=true`` adds
    the total as ``count``. The cursor is encrypted and bound to the user: another one is 400.

    A view may name its ``heavy_column``: a page of more than the default number of rows then ends
    before their texts exceed ``PAGE_BYTES``, so that 200 notes of 1 MiB do not fill the memory.

    With ``ascending`` on the view, the order is ascending. ``keyset`` may be a time or an integer,
    also an annotation. If it depends on more than the row (today's date), the view names that in
    ``cursor_scope``: a cursor is valid only for the keyset and scope that it was made for.
    """

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        self.keyset: str = view.keyset
        # Bound to the user: a cursor can hold their text, with which others could compare theirs.
        self.scope: list[str] = [f"user {request.user.pk}", *getattr(view, "cursor_scope", ())]
        beyond, sign = ("gt", "") if getattr(view, "ascending", False) else ("lt", "-")
        self.total = queryset.count() if _flag(request, "count") else None
        if cursor := request.query_params.get("cursor"):
            try:
                value, key = cursors.read(cursor, self.keyset, self.scope)
            except cursors.NotACursor:
                raise ValidationError(
                    {"cursor": "This is not a cursor that this list gave out."},
                    code="invalid_cursor",
                ) from None
            # The first condition is implied by the second; it lets the index bound the scan.
            queryset = queryset.filter(
                Q(**{f"{self.keyset}__{beyond}e": value})
                & (Q(**{f"{self.keyset}__{beyond}": value}) | Q(**{f"pk__{beyond}": key}))
            )
        queryset = queryset.order_by(f"{sign}{self.keyset}", f"{sign}pk")
        limit = _limit(request)
        if limit > DEFAULT_LIMIT and (column := getattr(view, "heavy_column", None)):
            limit = fitting(queryset, column, limit)
        rows = list(queryset[: limit + 1])
        self.next = None
        if len(rows) > limit:
            last = rows[limit - 1]
            value = getattr(last, self.keyset)
            self.next = cursors.write(self.keyset, value, last.pk, self.scope)
        return rows[:limit]

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        page: dict[str, Any] = {"results": data, "next": self.next}
        if self.total is not None:
            page["count"] = self.total
        return Response(page)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
            return {
                "name": name,
                "in": "query",
                "required": False,
                "schema": schema,
                "description": description,
            }

        return [
            parameter(
                "limit",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
                "How many results a page holds.",
            ),
            parameter("cursor", {"type": "string"}, "The `next` of the page before."),
            parameter("count", {"type": "boolean"}, "Whether to count all results."),
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {"type": ["string", "null"]},
                "count": {"type": "integer"},
            },
        }


def fitting(queryset: QuerySet[Any], column: str, limit: int) -> int:
    """Return how many rows fit in a page: at least one, at most ``limit``."""
    sizes = queryset.annotate(size=OctetLength(column)).values_list("size", flat=True)[:limit]
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if total > PAGE_BYTES and number > 0:
            return number
    return limit


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT):
        raise ValidationError(
            {"limit": f"A page holds 1 to {MAX_LIMIT} results."}, code="invalid_limit"
        )
    return int(text)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise ValidationError({name: "Say true or false."}, code="invalid_flag")
    return text == "true"
