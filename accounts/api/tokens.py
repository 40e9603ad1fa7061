"""``auth/tokens``: personal access tokens, made, listed and ended."""

import datetime as dt
from typing import ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits
from accounts.actions import tokens
from accounts.api.fields import CategoryField, PasswordField
from accounts.callers import get_user
from accounts.models import PersonalAccessToken
from cloudnotes.api.validation import InputSerializer, TimeField
from cloudnotes.api.views import GenericAPIView


class AccessTokenSerializer(serializers.ModelSerializer[PersonalAccessToken]):
    """A personal access token as its owner sees it, without itself."""

    scopes = serializers.SerializerMethodField()

    class Meta:
        model = PersonalAccessToken
        fields: tuple[str, ...] = (
            "id",
            "name",
            "scopes",
            "category",
            "created_at",
            "expires_at",
            "last_used_at",
        )
        read_only_fields = fields

    def get_scopes(self, token: PersonalAccessToken) -> list[str]:
        return token.scopes.split()


class NewAccessTokenSerializer(AccessTokenSerializer):
    """A new token with itself, this once."""

    token = serializers.CharField()

    class Meta(AccessTokenSerializer.Meta):
        fields = (*AccessTokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class CreateAccessTokenSerializer(InputSerializer):
    """What a token is for, and the current password."""

    name = serializers.CharField(max_length=100)
    password = PasswordField()
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=PersonalAccessToken.Scope.choices),
        allow_empty=False,
        max_length=20,
    )
    category = CategoryField(default="")
    expires_at = TimeField(default=None, allow_null=True)

    def validate_expires_at(self, moment: dt.datetime | None) -> dt.datetime | None:
        if moment is not None and moment <= timezone.now():
            raise serializers.ValidationError("Name a moment that is still to come.", code="past")
        return moment


class OwnAccessTokens(GenericAPIView[PersonalAccessToken]):
    """The caller's personal access tokens."""

    serializer_class = AccessTokenSerializer
    queryset = PersonalAccessToken.objects.none()

    def get_queryset(self) -> QuerySet[PersonalAccessToken]:
        return PersonalAccessToken.objects.filter(user=get_user(self.request))


class AccessTokensView(OwnAccessTokens):
    """All of them."""

    keyset = "created_at"
    scopes: ClassVar = {"GET": "account:read"}
    problems: ClassVar = {403: "The password is not the one of this account."}

    @extend_schema(responses={200: AccessTokenSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List them, the newest first, those that have expired among them."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=CreateAccessTokenSerializer, responses={201: NewAccessTokenSerializer})
    def post(self, request: Request) -> Response:
        """Make one. The answer is the only place that ever shows it."""
        serializer = CreateAccessTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.spend(request, "token_creation", get_user(request).pk)
        token, secret = tokens.create_token(
            user=get_user(request), **serializer.validated_data, now=timezone.now()
        )
        return Response({**AccessTokenSerializer(token).data, "token": secret}, status=201)


class AccessTokenView(OwnAccessTokens):
    """One of them."""

    pagination_class = None

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """End it, at once."""
        tokens.delete_token(token=self.get_object())
        return Response(status=204)
