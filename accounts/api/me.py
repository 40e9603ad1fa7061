"""``auth/me``: the account that asks."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import limits
from accounts.actions import users
from accounts.api.fields import AvatarField, PasswordField, UsernameField
from accounts.authentication import caller
from accounts.models import User


class UserSerializer(serializers.ModelSerializer[User]):
    """An account as its owner sees it."""

    avatar = AvatarField()
    email_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = (
            "id",
            "email",
            "username",
            "full_name",
            "avatar",
            "email_verified",
            "language",
            "require_if_match",
            "created_at",
        )
        read_only_fields = fields


class ProfileSerializer(serializers.Serializer[Any]):
    """What an owner may change without a password."""

    username = UsernameField()
    full_name = serializers.CharField(max_length=200, allow_blank=True, required=False)
    language = serializers.ChoiceField(
        choices=User.Language.choices,
        required=False,
        help_text="Whose word forms searches know; `simple` finds words as they are written.",
    )
    require_if_match = serializers.BooleanField(
        required=False, help_text="Whether a write to a note without `If-Match` is refused (428)."
    )


class PasswordSerializer(serializers.Serializer[Any]):
    """The current password."""

    password = PasswordField()


class MeView(APIView):
    """The account of whoever asks."""

    delete_takes = PasswordSerializer
    scopes: ClassVar = {"GET": "account:read"}
    problems: ClassVar = {403: "The password is not the one of this account."}

    @extend_schema(responses={200: UserSerializer})
    def get(self, request: Request) -> Response:
        return Response(UserSerializer(caller(request), context={"request": request}).data)

    @extend_schema(request=ProfileSerializer, responses={200: UserSerializer})
    def patch(self, request: Request) -> Response:
        given = ProfileSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = users.update_profile(user=caller(request), changes=given.validated_data)
        return Response(UserSerializer(user, context={"request": request}).data)

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        given = PasswordSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        limits.spend(request, "password", caller(request).pk)
        users.delete_own_account(user=caller(request), password=given.validated_data["password"])
        return Response(status=204)
