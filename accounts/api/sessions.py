"""``auth/sessions``: the devices that are logged in; and the tokens that a session hands out."""

import datetime as dt
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import jwt
from accounts.actions import sessions
from accounts.callers import get_caller, get_user
from accounts.models import Session
from cloudnotes.api.views import GenericAPIView


class TokensSerializer(serializers.Serializer[Any]):
    """A pair of tokens; ``expires_in`` is the access token's lifetime in seconds."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
    expires_in = serializers.IntegerField()


def tokens(session: Session, now: dt.datetime) -> dict[str, Any]:
    """Return the answer that carries new tokens of a session."""
    return answer(jwt.issue(session, now))


def answer(issued: jwt.Tokens) -> dict[str, Any]:
    """Return the answer that carries these tokens (RFC 6749, 5.1)."""
    return {
        "access_token": issued.access,
        "refresh_token": issued.refresh,
        "token_type": "bearer",
        "expires_in": jwt.access_lifetime(),
    }


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A device as its owner sees it."""

    is_current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = (
            "id",
            "user_agent",
            "address",
            "created_at",
            "last_seen_at",
            "expires_at",
            "is_current",
        )
        read_only_fields = fields

    def get_is_current(self, session: Session) -> bool:
        return session.pk == get_caller(self.context["request"]).session_id


class OwnSessions(GenericAPIView[Session]):
    """The devices on which the caller is logged in."""

    serializer_class = SessionSerializer
    queryset = Session.objects.none()

    def get_queryset(self) -> QuerySet[Session]:
        return Session.objects.live(timezone.now()).filter(user=get_user(self.request))


class SessionsView(OwnSessions):
    """All of them."""

    keyset = "created_at"
    scopes: ClassVar = {"GET": "account:read"}

    @extend_schema(responses={200: SessionSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List them, the newest first; `is_current` marks the one that asks."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class SessionView(OwnSessions):
    """One of them."""

    pagination_class = None

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Log the device out, at once."""
        session, now = self.get_object(), timezone.now()
        sessions.revoke(
            session_id=session.pk, user_id=session.user_id, reason=Session.Reason.LOGOUT, now=now
        )
        return Response(status=204)
