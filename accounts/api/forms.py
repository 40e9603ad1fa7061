"""The OAuth2 form that log-in and refresh take beside JSON."""

from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MAX_BYTES = 64 * 2**10
MAX_FIELDS = 20


class OAuth2FormParser(BaseParser):
    """``application/x-www-form-urlencoded`` in UTF-8: at most 64 KiB and 20 fields, none twice.

    RFC 6749, 3.2: a parameter must not be included more than once.
    """

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> QueryDict:
        request = (parser_context or {})["request"]
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BYTES:
            raise RequestDataTooBig  # before the body is read
        body = stream.read(MAX_BYTES)
        if body.count(b"&") >= MAX_FIELDS:
            raise ParseError(f"The form has more than {MAX_FIELDS} fields.")
        form = QueryDict(body, encoding="utf-8")
        if any(len(values) > 1 for _, values in form.lists()):
            raise ParseError("A form field occurs twice.")
        return form
