"""The addresses of accounts outside the API: the pages that links in mails open."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("account/verify-email", views.VerifyEmailPage.as_view(), name="verify-email-page"),
    path("account/two-factor", views.TwoFactorPage.as_view(), name="two-factor-page"),
    path("account/reset-password", views.ResetPasswordPage.as_view(), name="reset-password-page"),
]
