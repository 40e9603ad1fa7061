"""The URLs of accounts outside the API."""

from django.urls import path

from accounts import pages, views

urlpatterns = [
    path("account/verify-email", pages.VerifyEmailPage.as_view(), name="verify-email-page"),
    path("account/reset-password", pages.ResetPasswordPage.as_view(), name="reset-password-page"),
    path("account/two-factor", pages.TwoFactorPage.as_view(), name="two-factor-page"),
    path("avatars/<str:avatar_id>", views.PictureView.as_view(), name="avatar"),
]
