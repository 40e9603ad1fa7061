"""The URLs of notes, below the prefix of the API."""

from django.urls import path

from notes.api import (
    attachments,
    bulk,
    categories,
    display,
    edits,
    links,
    notes,
    related,
    revisions,
    rewinding,
    saved_searches,
    search,
    sync,
    tags,
    uploads,
)
from notes.api.permissions import WRITING_SCOPES

note = notes.NoteViewSet.as_view
saved_search = saved_searches.SavedSearchViewSet.as_view
revision = revisions.RevisionViewSet.as_view

urlpatterns = [
    path("notes", note({"get": "list", "post": "create"}), name="notes"),
    path(
        "notes/<int:pk>",
        note({"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}),
        name="note",
    ),
    path("notes/<int:pk>/title", note({"put": "title"}), name="note-title"),
    path(
        "notes/<int:pk>/restore",
        note({"post": "restore"}, even_trashed=True, scopes=WRITING_SCOPES),
        name="note-restore",
    ),
    path("notes/<int:pk>/file", attachments.NoteFileView.as_view(), name="note-file"),
    path("notes/<int:pk>/attachments", attachments.AttachmentsView.as_view(), name="attachments"),
    path(
        "notes/<int:pk>/attachments/<int:attachment_id>",
        attachments.AttachmentView.as_view(),
        name="attachment",
    ),
    path(
        "notes/<int:pk>/attachments/<int:attachment_id>/thumbnail",
        attachments.ThumbnailView.as_view(),
        name="thumbnail",
    ),
    path("notes/<int:pk>/attachments/uploads", uploads.UploadsView.as_view(), name="uploads"),
    path(
        "notes/<int:pk>/attachments/uploads/<int:upload_id>",
        uploads.UploadView.as_view(),
        name="upload",
    ),
    path(
        "notes/<int:pk>/attachments/uploads/<int:upload_id>/complete",
        uploads.CompleteView.as_view(),
        name="upload-complete",
    ),
    path("notes/<int:pk>/display", display.DisplayView.as_view(), name="display"),
    path("notes/<int:pk>/edits", edits.EditsView.as_view(), name="note-edits"),
    path("notes/<int:pk>/revisions", revision({"get": "list"}), name="revisions"),
    path(
        "notes/<int:pk>/revisions/<int:version>",
        revision({"get": "retrieve", "patch": "partial_update"}),
        name="revision",
    ),
    path(
        "notes/<int:pk>/revisions/<int:version>/diff",
        revision({"get": "diff"}),
        name="revision-diff",
    ),
    path(
        "notes/<int:pk>/revisions/<int:version>/restore",
        revision({"post": "restore"}, even_trashed=False),
        name="revision-restore",
    ),
    path(
        "notes/<int:pk>/revisions/<int:version>/attachments/<int:attachment_id>",
        revisions.RevisionFileView.as_view(),
        name="revision-file",
    ),
    path("notes/<int:pk>/links", links.LinksView.as_view(), name="links"),
    path("notes/<int:pk>/related", related.RelatedView.as_view(), name="related"),
    path("notes/bulk", bulk.BulkView.as_view(), name="notes-bulk"),
    path("tags", tags.TagViewSet.as_view({"get": "overview"}), name="tags"),
    path(
        "tags/<path:name>",
        tags.TagViewSet.as_view({"patch": "rename", "delete": "destroy"}),
        name="tag",
    ),
    path("categories", categories.CategoryViewSet.as_view({"get": "overview"}), name="categories"),
    path(
        "categories/<path:category>",
        categories.CategoryViewSet.as_view({"patch": "move", "delete": "destroy"}),
        name="category",
    ),
    path("search", search.SearchView.as_view(), name="search"),
    path("searches", saved_search({"get": "list", "post": "create"}), name="searches"),
    path(
        "searches/<int:pk>",
        saved_search({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="saved-search",
    ),
    path("searches/<int:pk>/notes", saved_search({"get": "notes"}), name="saved-search-notes"),
    path("sync", sync.SyncView.as_view(), name="sync"),
    path("sync/digest", sync.DigestView.as_view(), name="sync-digest"),
    path("rewind", rewinding.RewindView.as_view(), name="rewind"),
]
