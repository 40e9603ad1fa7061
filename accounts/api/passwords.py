"""``auth/password/…``: change a password, or choose a new one by mail."""

from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.actions import passwords
from accounts.api.email import AddressSerializer
from accounts.api.fields import NewPasswordField, PasswordField
from accounts.api.public import PublicView, SentSerializer, device, sent
from accounts.api.sessions import TokensSerializer, tokens
from accounts.callers import get_user
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView


class ChangePasswordSerializer(InputSerializer):
    """The current password and the one to come."""

    password = PasswordField()
    new_password = NewPasswordField()


class ResetPasswordSerializer(InputSerializer):
    """The token of a mail and the password to come."""

    token = serializers.CharField(max_length=200)
    password = NewPasswordField()


class ChangePasswordView(APIView):
    """Change the password. All sessions and tokens end; the answer has new ones for this device."""

    problems: ClassVar = {403: "The password is not the one of this account."}

    @extend_schema(request=ChangePasswordSerializer, responses={200: TokensSerializer})
    def post(self, request: Request) -> Response:
        serializer = ChangePasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "password", get_user(request).pk)
        now = timezone.now()
        session = passwords.change_password(
            user=get_user(request), **serializer.validated_data, now=now, **device(request)
        )
        return Response(tokens(session, now))


class ForgotPasswordView(PublicView):
    """Have a mail sent by which to choose a new password. The answer is always the same."""

    @extend_schema(request=AddressSerializer, responses={202: SentSerializer})
    def post(self, request: Request) -> Response:
        serializer = AddressSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        email = serializer.validated_data["email"]
        limits.spend(request, "forgot", email)
        passwords.request_reset(email=email, now=timezone.now())
        return sent()


class ResetPasswordView(PublicView):
    """Choose a new password by the token of a mail. All sessions and tokens end."""

    @extend_schema(request=ResetPasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        serializer = ResetPasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token, password = serializer.validated_data["token"], serializer.validated_data["password"]
        limits.spend(request, "reset", token.partition(".")[0])
        passwords.reset_password(token=token, new_password=password, now=timezone.now())
        return Response(status=204)
