"""The base of the views that need no token, and their common response."""

from typing import Any

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cloudnotes.api.views import APIView


class PublicView(APIView):
    """A view that nobody needs a token for; an Authorization header is not even read."""

    authentication_classes = ()
    permission_classes = ()


class SentSerializer(serializers.Serializer[Any]):
    """An answer that does not tell whether an account exists."""

    detail = serializers.CharField()


def sent() -> Response:
    """Return the response of operations that report their outcome only by mail: always the same."""
    detail = (
        "If this concerns an account or a free address, a mail with what to do next is on its way."
    )
    return Response({"detail": detail}, status=202)


def device(request: HttpRequest | Request) -> dict[str, str]:
    """Return the client's User-Agent and address, which a session stores."""
    return {
        "user_agent": request.META.get("HTTP_USER_AGENT", ""),
        "address": request.META.get("REMOTE_ADDR", ""),
    }
