"""The routes of notes outside the API."""

from django.urls import path

from notes import views

urlpatterns = [
    path("files/<str:token>", views.download, name="download"),
    path("uploads/<str:token>", views.receive, name="receive"),
]
