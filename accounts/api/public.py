"""What the views that need no token have in common."""

from typing import Any

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class PublicView(APIView):
    """A view that nobody needs a token for; an Authorization header is not even read."""

    authentication_classes = ()
    permission_classes = ()


class SentSerializer(serializers.Serializer[Any]):
    """An answer that does not tell whether an account exists."""

    detail = serializers.CharField()


def sent() -> Response:
    """Return the answer, always the same, of what tells its outcome by mail alone."""
    detail = (
        "If this concerns an account or a free address, a mail with what to do next is on its way."
    )
    return Response({"detail": detail}, status=202)


def device(request: HttpRequest | Request) -> dict[str, str]:
    """Return what a session remembers of where it was opened."""
    return {
        "user_agent": request.META.get("HTTP_USER_AGENT", ""),
        "address": request.META.get("REMOTE_ADDR", ""),
    }
