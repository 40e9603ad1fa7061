"""The paths of the first generation whose words are its own."""

from django.urls import path

from notes.api.items import ItemViewSet, PlainNoteViewSet

item = ItemViewSet.as_view

urlpatterns = [
    path("notes", PlainNoteViewSet.as_view({"get": "list", "post": "create"})),
    path("items", item({"get": "list", "post": "create"})),
    path(
        "items/<int:pk>",
        item({"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}),
    ),
]
