"""``auth/register``, ``auth/login``, ``auth/refresh``, ``auth/logout`` and ``auth/logout-all``."""

import datetime as dt
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import jwt
from accounts.actions import sessions, users
from accounts.api.fields import AddressField, NewPasswordField, PasswordField, UsernameField
from accounts.api.forms import OAuth2FormParser
from accounts.api.me import UserSerializer
from accounts.authentication import caller
from accounts.models import Session


class RegisterSerializer(serializers.Serializer[Any]):
    """What it takes to have an account."""

    email = AddressField()
    password = NewPasswordField()
    username = UsernameField()
    full_name = serializers.CharField(max_length=200, allow_blank=True, default="")


class LoginSerializer(serializers.Serializer[Any]):
    """Credentials, as JSON or as the OAuth2 password form (RFC 6749, 4.3.2).

    The form's other fields (``grant_type``, ``client_id``, ``scope``) are ignored.
    """

    username = serializers.CharField(max_length=254, required=False, help_text="or e-mail")
    email = serializers.CharField(max_length=254, required=False)
    password = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("username") and not attrs.get("email"):
            raise serializers.ValidationError(
                {"username": "Send the username or the e-mail address."}, code="required"
            )
        return attrs


class RefreshSerializer(serializers.Serializer[Any]):
    """A refresh token."""

    refresh_token = serializers.CharField(max_length=jwt.MAX_TOKEN_LENGTH)


class TokensSerializer(serializers.Serializer[Any]):
    """A pair of tokens; ``expires_in`` is the access token's lifetime in seconds."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
    expires_in = serializers.IntegerField()


class RegisteredSerializer(TokensSerializer):
    """A new account and its first tokens."""

    user = UserSerializer()


def tokens(session: Session, now: dt.datetime) -> dict[str, Any]:
    """Return the answer that carries a session's tokens (RFC 6749, 5.1)."""
    return {
        "access_token": jwt.access_token(session, now),
        "refresh_token": jwt.refresh_token(session),
        "token_type": "bearer",
        "expires_in": jwt.access_lifetime(),
    }


def device(request: HttpRequest | Request) -> dict[str, str]:
    """Return what a session remembers of where it was opened."""
    return {
        "user_agent": request.META.get("HTTP_USER_AGENT", ""),
        "address": request.META.get("REMOTE_ADDR", ""),
    }


class PublicView(APIView):
    """A view that nobody needs a token for; an Authorization header is not even read."""

    authentication_classes = ()
    permission_classes = ()


class RegisterView(PublicView):
    """Make an account."""

    @extend_schema(request=RegisterSerializer, responses={201: RegisteredSerializer})
    def post(self, request: Request) -> Response:
        given = RegisterSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        now = timezone.now()
        session = users.register(
            email=given.validated_data["email"],
            password=given.validated_data["password"],
            username=given.validated_data.get("username"),
            full_name=given.validated_data["full_name"],
            now=now,
            **device(request),
        )
        user = UserSerializer(session.user, context={"request": request}).data
        return Response({"user": user, **tokens(session, now)}, status=201)


class LoginView(PublicView):
    """Log in by e-mail address or username."""

    parser_classes = (*APIView.parser_classes, OAuth2FormParser)
    problems: ClassVar = {401: "No account has this identifier with this password."}

    @extend_schema(
        request={
            "application/json": LoginSerializer,
            "application/x-www-form-urlencoded": LoginSerializer,
        },
        responses={200: TokensSerializer},
    )
    def post(self, request: Request) -> Response:
        given = LoginSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        now = timezone.now()
        session = sessions.log_in(
            identifier=given.validated_data.get("username") or given.validated_data["email"],
            password=given.validated_data["password"],
            now=now,
            **device(request),
        )
        return Response(tokens(session, now))


class RefreshView(PublicView):
    """Change a refresh token for a new pair of tokens."""

    parser_classes = (*APIView.parser_classes, OAuth2FormParser)
    problems: ClassVar = {401: "The refresh token is wrong, expired or was used before."}

    @extend_schema(
        request={
            "application/json": RefreshSerializer,
            "application/x-www-form-urlencoded": RefreshSerializer,
        },
        responses={200: TokensSerializer},
    )
    def post(self, request: Request) -> Response:
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        now = timezone.now()
        session = sessions.refresh(token=given.validated_data["refresh_token"], now=now)
        return Response(tokens(session, now))


class LogoutView(APIView):
    """End the session that the access token belongs to."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        assert isinstance(request.auth, Session)
        sessions.revoke(session=request.auth, reason=Session.Reason.LOGOUT, now=timezone.now())
        return Response(status=204)


class LogoutAllView(APIView):
    """End every session of the account, this one included."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        sessions.revoke_all(
            user=caller(request), reason=Session.Reason.LOGOUT_ALL, now=timezone.now()
        )
        return Response(status=204)
