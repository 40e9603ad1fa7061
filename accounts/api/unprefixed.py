"""The two URLs of the first generation without a folder."""

from django.urls import path

from accounts.api import auth

urlpatterns = [
    path("register", auth.RegisterView.as_view()),
    path("login", auth.LoginView.as_view()),
]
