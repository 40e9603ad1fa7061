"""The URLs of accounts, below the API's prefix."""

from django.urls import path

from accounts.api import (
    auth,
    avatars,
    contacts,
    email,
    me,
    passwords,
    second_factor,
    sessions,
    tokens,
    vcards,
)

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
    path("auth/2fa", second_factor.TwoFactorView.as_view(), name="2fa"),
    path("auth/2fa/confirm", second_factor.ConfirmView.as_view(), name="2fa-confirm"),
    path(
        "auth/2fa/recovery-codes",
        second_factor.RecoveryCodesView.as_view(),
        name="2fa-recovery-codes",
    ),
    path("auth/tokens", tokens.AccessTokensView.as_view(), name="tokens"),
    path("auth/tokens/<int:pk>", tokens.AccessTokenView.as_view(), name="token"),
    path("auth/me", me.MeView.as_view(), name="me"),
    path("auth/me/avatar", avatars.AvatarView.as_view(), name="my-avatar"),
    path(
        "contacts",
        contacts.ContactViewSet.as_view({"get": "list", "post": "create"}),
        name="contacts",
    ),
    path(
        "contacts/<int:pk>",
        contacts.ContactViewSet.as_view(
            {
                "get": "retrieve",
                "put": "update",
                "patch": "partial_update",
                "delete": "destroy",
            }
        ),
        name="contact",
    ),
    path("contacts/birthdays", contacts.BirthdaysView.as_view(), name="contact-birthdays"),
    path("contacts/export", vcards.ExportView.as_view(), name="contact-export"),
    path("contacts/import", vcards.ImportView.as_view(), name="contact-import"),
]
