"""``auth/email/…``: confirm an address, ask for the mail again, change the address."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.actions import addresses
from accounts.api.fields import AddressField, NewPasswordField, PasswordField
from accounts.api.public import PublicView, SentSerializer, sent
from accounts.callers import get_user
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView


class VerifySerializer(InputSerializer):
    """What a mail said: the token of its link, or its address and code."""

    token = serializers.CharField(max_length=200, required=False)
    email = AddressField(required=False)
    code = serializers.CharField(max_length=20, required=False)
    password = NewPasswordField(
        required=False, help_text="where log-ins need a confirmed address: the one to log in with"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("token") and not (attrs.get("email") and attrs.get("code")):
            raise serializers.ValidationError(
                {"token": "Send the token, or the e-mail address and the code."}, code="required"
            )
        return attrs


class VerifiedSerializer(serializers.Serializer[Any]):
    """The address that is now confirmed."""

    email = serializers.EmailField()
    email_verified = serializers.BooleanField()


class AddressSerializer(InputSerializer):
    """An e-mail address."""

    email = AddressField()


class ChangeEmailSerializer(AddressSerializer):
    """A new address and the current password."""

    password = PasswordField()


class VerifyEmailView(PublicView):
    """Confirm an e-mail address by what was mailed to it, or complete its change."""

    @extend_schema(request=VerifySerializer, responses={200: VerifiedSerializer})
    def post(self, request: Request) -> Response:
        serializer = VerifySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token, now = serializer.validated_data.get("token"), timezone.now()
        password = serializer.validated_data.get("password")
        if token:
            limits.spend(request, "verify", token.partition(".")[0])
            user = addresses.verify_by_token(token=token, password=password, now=now)
        else:
            address = serializer.validated_data["email"]
            limits.spend(request, "verify", address)
            user = addresses.verify_by_code(
                address=address,
                code=serializer.validated_data["code"],
                password=password,
                now=now,
            )
        return Response({"email": user.email, "email_verified": user.email_verified})


class ResendView(PublicView):
    """Have the mail that confirms an address sent again. The answer is always the same."""

    @extend_schema(request=AddressSerializer, responses={202: SentSerializer})
    def post(self, request: Request) -> Response:
        serializer = AddressSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        email = serializer.validated_data["email"]
        limits.spend(request, "resend", email)
        addresses.resend_verification(email=email, now=timezone.now())
        return sent()


class ChangeEmailView(APIView):
    """Ask for another address, which becomes the account's when the mail to it is read."""

    problems: ClassVar = {403: "The password is not the one of this account."}

    @extend_schema(request=ChangeEmailSerializer, responses={202: SentSerializer})
    def post(self, request: Request) -> Response:
        serializer = ChangeEmailSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "email_change", get_user(request).pk)
        addresses.request_change(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        return sent()
