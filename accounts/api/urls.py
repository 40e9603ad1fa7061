"""The addresses of accounts, below the API's prefix."""

from django.urls import path

from accounts.api import auth, email, me, passwords, sessions, tokens

urlpatterns = [
    path("auth/register", auth.RegisterView.as_view(), name="register"),
    path("auth/login", auth.LoginView.as_view(), name="login"),
    path("auth/refresh", auth.RefreshView.as_view(), name="refresh"),
    path("auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("auth/logout-all", auth.LogoutAllView.as_view(), name="logout-all"),
    path("auth/email/verify", email.VerifyEmailView.as_view(), name="email-verify"),
    path("auth/email/resend", email.ResendView.as_view(), name="email-resend"),
    path("auth/email/change", email.ChangeEmailView.as_view(), name="email-change"),
    path("auth/password/change", passwords.ChangePasswordView.as_view(), name="password-change"),
    path("auth/password/forgot", passwords.ForgotPasswordView.as_view(), name="password-forgot"),
    path("auth/password/reset", passwords.ResetPasswordView.as_view(), name="password-reset"),
    path("auth/sessions", sessions.SessionsView.as_view(), name="sessions"),
    path("auth/sessions/<int:pk>", sessions.SessionView.as_view(), name="session"),
    path("auth/tokens", tokens.AccessTokensView.as_view(), name="tokens"),
    path("auth/tokens/<int:pk>", tokens.AccessTokenView.as_view(), name="token"),
    path("auth/me", me.MeView.as_view(), name="me"),
]
