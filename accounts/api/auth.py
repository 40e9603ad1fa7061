"""``auth/register``, ``auth/login``, ``auth/refresh``, ``auth/logout`` and ``auth/logout-all``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import jwt, limits
from accounts.actions import sessions, users
from accounts.api.fields import (
    AddressField,
    CodeField,
    NewPasswordField,
    PasswordField,
    UsernameField,
)
from accounts.api.forms import OAuth2FormParser
from accounts.api.me import UserSerializer
from accounts.api.public import PublicView, SentSerializer, device, sent
from accounts.api.sessions import TokensSerializer, answer, tokens
from accounts.callers import get_caller, get_user
from accounts.models import Session
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView


class RegisterSerializer(InputSerializer):
    """What it takes to have an account."""

    email = AddressField()
    password = NewPasswordField()
    username = UsernameField()
    full_name = serializers.CharField(max_length=200, allow_blank=True, default="")


class OAuthSerializer(InputSerializer):
    """Base of what OAuth2 clients send (RFC 6749, 4.3.2 and 6), with fields that are ignored."""

    IGNORED = ("grant_type", "scope", "client_id", "client_secret")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if name not in self.IGNORED}
        return super().to_internal_value(data)


class LoginSerializer(OAuthSerializer):
    """Credentials, as JSON or as the OAuth2 password form."""

    username = serializers.CharField(max_length=254, required=False, help_text="or e-mail")
    email = serializers.CharField(max_length=254, required=False)
    password = PasswordField()
    code = CodeField(required=False, allow_blank=True, help_text="with two-factor log-in")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("username") and not attrs.get("email"):
            raise serializers.ValidationError(
                {"username": "Send the username or the e-mail address."}, code="required"
            )
        return attrs


class RefreshSerializer(OAuthSerializer):
    """A refresh token."""

    refresh_token = serializers.CharField(max_length=jwt.MAX_TOKEN_LENGTH)


class RegisteredSerializer(TokensSerializer):
    """A new account and its first tokens."""

    user = UserSerializer()


class RegisterView(PublicView):
    """Make an account."""

    @extend_schema(
        request=RegisterSerializer, responses={201: RegisteredSerializer, 202: SentSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make an account: 201 with tokens, or 202 where addresses have to be confirmed first."""
        serializer = RegisterSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "register")
        now = timezone.now()
        if settings.EMAIL_VERIFICATION == "required":
            users.register_unseen(
                email=serializer.validated_data["email"],
                password=serializer.validated_data["password"],
                username=serializer.validated_data.get("username"),
                full_name=serializer.validated_data["full_name"],
                now=now,
            )
            return sent()
        registered, issued = users.register(
            email=serializer.validated_data["email"],
            password=serializer.validated_data["password"],
            username=serializer.validated_data.get("username"),
            full_name=serializer.validated_data["full_name"],
            now=now,
            **device(request),
        )
        user = UserSerializer(registered, context={"request": request}).data
        return Response({"user": user, **answer(issued)}, status=201)


class LoginView(PublicView):
    """Log in by e-mail address or username."""

    parser_classes = (*APIView.parser_classes, OAuth2FormParser)
    problems: ClassVar = {
        401: "No account has this identifier with this password, or a code is needed too.",
        403: "The address has to be confirmed first, or the code is not right.",
    }

    @extend_schema(
        request={
            "application/json": LoginSerializer,
            "application/x-www-form-urlencoded": LoginSerializer,
        },
        responses={200: TokensSerializer},
    )
    def post(self, request: Request) -> Response:
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        identifier = serializer.validated_data.get("username") or serializer.validated_data["email"]
        candidate = sessions.find(identifier)
        limits.spend(request, "login", f"user {candidate.pk}" if candidate else identifier)
        now = timezone.now()
        client = device(request)
        user = sessions.authenticate(
            user=candidate,
            password=serializer.validated_data["password"],
            address=client["address"],
        )
        code = serializer.validated_data.get("code") or None
        if code is not None:
            limits.spend(request, "second_factor", user.pk)
        session = sessions.log_in(user=user, code=code, now=now, **client)
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
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        now = timezone.now()
        session = sessions.refresh(token=serializer.validated_data["refresh_token"], now=now)
        return Response(tokens(session, now))


class LogoutView(APIView):
    """End the session that the access token belongs to."""

    bodiless = ("POST",)

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        caller, now = get_caller(request), timezone.now()
        assert caller.session_id is not None  # the view has no `scopes`: no other token gets here
        sessions.revoke(
            session_id=caller.session_id, user_id=caller.pk, reason=Session.Reason.LOGOUT, now=now
        )
        return Response(status=204)


class LogoutAllView(APIView):
    """End every session of the account, this one included."""

    bodiless = ("POST",)

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        sessions.log_out_everywhere(user=get_user(request), now=timezone.now())
        return Response(status=204)
