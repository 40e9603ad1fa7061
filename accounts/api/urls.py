"""The addresses of accounts, below the API's prefix."""

from django.urls import path

from accounts.api import auth, avatars, me

urlpatterns = [
    path("auth/register", auth.RegisterView.as_view(), name="register"),
    path("auth/login", auth.LoginView.as_view(), name="login"),
    path("auth/refresh", auth.RefreshView.as_view(), name="refresh"),
    path("auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("auth/logout-all", auth.LogoutAllView.as_view(), name="logout-all"),
    path("auth/me", me.MeView.as_view(), name="me"),
    path("auth/me/avatar", avatars.AvatarView.as_view(), name="my-avatar"),
]
