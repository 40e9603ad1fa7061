"""``auth/2fa``: two-factor log-in, set up, confirmed and switched off."""

from typing import Any, ClassVar

import segno
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.actions import second_factors
from accounts.api.fields import CodeField
from accounts.api.me import PasswordSerializer
from accounts.callers import get_user
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView


class TwoFactorSerializer(serializers.Serializer[Any]):
    """Whether log-ins need a second factor, and how many recovery codes are left."""

    enabled = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()


class SetupSerializer(serializers.Serializer[Any]):
    """What an authenticator app has to be told; ``qr_code`` is an image as a data URI."""

    secret = serializers.CharField()
    otpauth_url = serializers.CharField()
    qr_code = serializers.CharField()


class CodeSerializer(InputSerializer):
    """A code of the app."""

    code = CodeField()


class PasswordAndCodeSerializer(PasswordSerializer):
    """The current password, and a code of the app or a recovery code."""

    code = CodeField()


class RecoveryCodesSerializer(serializers.Serializer[Any]):
    """Codes to log in with when the app is lost, each once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class TwoFactorView(APIView):
    """Two-factor log-in of the account (TOTP, RFC 6238)."""

    delete_takes = PasswordAndCodeSerializer
    problems: ClassVar = {
        403: "The password or the code is not right.",
        409: "Two-factor log-in is on already, or is not on.",
    }

    @extend_schema(responses={200: TwoFactorSerializer})
    def get(self, request: Request) -> Response:
        """Tell whether it is on."""
        factor = second_factors.get_enabled(get_user(request))
        left = len(factor.recovery_digests) if factor else 0
        return Response({"enabled": factor is not None, "recovery_codes_left": left})

    @extend_schema(request=PasswordSerializer, responses={200: SetupSerializer})
    def post(self, request: Request) -> Response:
        """Begin to set it up; nothing changes until it is confirmed."""
        serializer = PasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "password", get_user(request).pk)
        factor = second_factors.begin(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        address = second_factors.provisioning_uri(factor)
        return Response(
            {
                "secret": second_factors.secret_of(factor),
                "otpauth_url": address,
                "qr_code": segno.make(address).svg_data_uri(scale=4),
            }
        )

    @extend_schema(request=PasswordAndCodeSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Switch it off."""
        serializer = PasswordAndCodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "password", get_user(request).pk)
        limits.spend(request, "second_factor", get_user(request).pk)
        second_factors.disable(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        return Response(status=204)


class ConfirmView(APIView):
    """Switch two-factor log-in on with a code of the app."""

    problems: ClassVar = TwoFactorView.problems

    @extend_schema(request=CodeSerializer, responses={200: RecoveryCodesSerializer})
    def post(self, request: Request) -> Response:
        serializer = CodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "second_factor", get_user(request).pk)
        codes = second_factors.confirm(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        return Response({"recovery_codes": codes})


class RecoveryCodesView(APIView):
    """Have new recovery codes in place of the old ones."""

    problems: ClassVar = TwoFactorView.problems

    @extend_schema(request=PasswordAndCodeSerializer, responses={200: RecoveryCodesSerializer})
    def post(self, request: Request) -> Response:
        serializer = PasswordAndCodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "password", get_user(request).pk)
        limits.spend(request, "second_factor", get_user(request).pk)
        codes = second_factors.renew_recovery_codes(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        return Response({"recovery_codes": codes})
