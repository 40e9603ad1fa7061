"""The addresses of accounts outside the API."""

from django.urls import path

from accounts import views

urlpatterns = [path("avatars/<str:avatar_id>", views.PictureView.as_view(), name="avatar")]
