"""``auth/me``: the caller's account."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.actions import users
from accounts.api.fields import AvatarField, PasswordField, UsernameField
from accounts.callers import get_user
from accounts.file_service import get_file_service
from accounts.models import User
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import APIView


class UserSerializer(serializers.ModelSerializer[User]):
    """An account as its owner sees it."""

    avatar = AvatarField()
    email_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields: tuple[str, ...] = (
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


class UsageSerializer(serializers.Serializer[Any]):
    """What an account's files take, and may: of equal ones one counts, history and trash too."""

    bytes = serializers.IntegerField()
    max_bytes = serializers.IntegerField()
    files = serializers.IntegerField()
    max_files = serializers.IntegerField()


class MeSerializer(UserSerializer):
    """An account as its owner sees it at ``auth/me``."""

    storage = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "storage")
        read_only_fields = fields

    @extend_schema_field(UsageSerializer)
    def get_storage(self, user: User) -> dict[str, int]:
        return get_file_service().get_usage(user=user)


class ProfileSerializer(InputSerializer):
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


class PasswordSerializer(InputSerializer):
    """The current password."""

    password = PasswordField()


@waits_for_storage("DELETE")
class MeView(APIView):
    """The account of whoever asks."""

    delete_takes = PasswordSerializer
    scopes: ClassVar = {"GET": "account:read"}
    problems: ClassVar = {403: "The password is not the one of this account."}

    @extend_schema(responses={200: MeSerializer})
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(get_user(request), context={"request": request}).data)

    @extend_schema(request=ProfileSerializer, responses={200: MeSerializer})
    def patch(self, request: Request) -> Response:
        user = get_user(request)
        shown = MeSerializer(user, context={"request": request}).data
        changes = validate(ProfileSerializer, request.data, shown=shown)
        user = users.update_profile(user=user, changes=changes)
        return Response(MeSerializer(user, context={"request": request}).data)

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        serializer = PasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "password", get_user(request).pk)
        users.delete_own_account(
            user=get_user(request), password=serializer.validated_data["password"]
        )
        return Response(status=204)
