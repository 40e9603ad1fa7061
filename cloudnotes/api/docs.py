"""``/openapi.json`` and the two pages that show it, ``/docs`` and ``/redoc``."""

import functools
import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView


@cache_control(public=True, max_age=60)
@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """``/openapi.json``: the same document for all clients, generated once per process."""
    return HttpResponse(_document(), content_type="application/json")


@functools.cache
def _document() -> bytes:
    generator: Any = SchemaGenerator
    document = generator().get_schema(request=None, public=True)
    return json.dumps(document, indent=2).encode()


class SwaggerView(SpectacularSwaggerSplitView):
    """``/docs``: Swagger UI from our own static files, with its script in a separate file."""

    http_method_names = ["get", "head"]
    permission_classes = []
    authentication_classes = []


class RedocView(SpectacularRedocView):
    """``/redoc``: ReDoc from our own static files."""

    http_method_names = ["get", "head"]
    permission_classes = []
    authentication_classes = []
