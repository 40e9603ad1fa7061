"""The addresses of notes, below the API's prefix."""

from django.urls import path

from notes.api import attachments, notes

urlpatterns = [
    path("notes", notes.NoteViewSet.as_view({"get": "list", "post": "create"}), name="notes"),
    path(
        "notes/<int:pk>",
        notes.NoteViewSet.as_view(
            {
                "get": "retrieve",
                "put": "update",
                "patch": "partial_update",
                "delete": "destroy",
            }
        ),
        name="note",
    ),
    path("notes/<int:pk>/title", notes.NoteViewSet.as_view({"put": "title"}), name="note-title"),
    path("notes/<int:pk>/file", attachments.NoteFileView.as_view(), name="note-file"),
]
