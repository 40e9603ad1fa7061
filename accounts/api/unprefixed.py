"""The paths of the first generation that have no folder, or words of its own."""

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import auth, me
from accounts.callers import get_user
from accounts.identifiers import fold
from accounts.models import User
from cloudnotes.api.views import APIView


class FirstUserSerializer(me.UserSerializer):
    """An account in the words of the first generation."""

    disabled = serializers.SerializerMethodField()

    class Meta(me.UserSerializer.Meta):
        fields = (*me.UserSerializer.Meta.fields, "disabled")
        read_only_fields = fields

    def get_disabled(self, user: User) -> bool:
        return not user.is_active


class UsersView(auth.RegisterView):
    """``/users``: POST registers; there is no list of others."""

    schema = None


class UserView(APIView):
    """``/users/{username}``: the own account, by user name, address or id."""

    schema = None
    scopes: ClassVar = {"GET": "account:read"}

    def get(self, request: Request, username: str) -> Response:
        user = get_user(request)
        names: set[Any] = {str(user.pk), fold(user.email), fold(user.username or "")}
        if fold(username) not in names:
            raise NotFound
        return Response(FirstUserSerializer(user, context={"request": request}).data)


class MeView(me.MeView):
    """``/users/me``."""

    schema = None


urlpatterns = [
    path("register", auth.RegisterView.as_view()),
    path("login", auth.LoginView.as_view()),
    path("users", UsersView.as_view()),
    path("users/me", MeView.as_view()),
    path("users/<str:username>", UserView.as_view()),
]
