"""How a note is found, shown and tagged, the same at every address that is about one."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.permissions import HasScope
from notes.api import preconditions
from notes.api.permissions import SCOPES, NotePermission
from notes.models import Attachment, Note, tags
from notes.models.notes import NoteQuerySet


class FileSerializer(serializers.ModelSerializer[Attachment]):
    """A file as its note shows it; ``url`` stays the same and asks for the token each time."""

    size = serializers.IntegerField(source="object.size", read_only=True)
    content_type = serializers.CharField(source="object.content_type", read_only=True)
    sha256 = serializers.CharField(source="object.sha256", read_only=True)
    url = serializers.SerializerMethodField()

    class Meta:
        model = Attachment
        fields = ("name", "size", "content_type", "sha256", "url")
        read_only_fields = fields

    def get_url(self, attachment: Attachment) -> str:
        request: Request = self.context["request"]
        return request.build_absolute_uri(f"/api/v1/notes/{attachment.note_id}/file")


class NoteSerializer(serializers.ModelSerializer[Note]):
    """A note as it is read."""

    tags = serializers.SerializerMethodField()
    file = serializers.SerializerMethodField()

    class Meta:
        model = Note
        fields: tuple[str, ...] = (
            "id",
            "title",
            "content",
            "category",
            "tags",
            "is_favorite",
            "is_archived",
            "version",
            "file",
            "created_at",
            "updated_at",
            "trashed_at",
        )
        read_only_fields = fields

    def get_fields(self) -> dict[str, Any]:
        """Return all fields, or those that the context names as ``fields``."""
        fields = super().get_fields()
        chosen = self.context.get("fields", fields)
        return {name: field for name, field in fields.items() if name in chosen}

    def get_tags(self, note: Note) -> list[str]:
        return tags.split(note.tags)

    @extend_schema_field(FileSerializer(allow_null=True))
    def get_file(self, note: Note) -> dict[str, Any] | None:
        attachment = note.get_attachment()
        if attachment is None:
            return None
        data: dict[str, Any] = FileSerializer(attachment, context=self.context).data
        return data


NOTE_FIELDS: Collection[str] = NoteSerializer.Meta.fields


class NoteEndpoint(preconditions.ShowsCurrent, GenericAPIView[Note]):
    """What the views of one note have in common."""

    permission_classes = (IsAuthenticated, HasScope, NotePermission)
    scopes: ClassVar = SCOPES
    conditional: ClassVar[tuple[str, ...]] = ("GET", "PUT", "PATCH", "POST", "DELETE")
    queryset = Note.objects.none()
    max_json_bytes = settings.MAX_JSON_BYTES

    even_trashed = False  # whether the view reaches into the trash too

    def get_queryset(self) -> NoteQuerySet:
        notes = Note.objects.visible_to(caller(self.request)).with_file()
        return notes if self.even_trashed else notes.live()

    def note_data(self, note: Note, fields: Collection[str] = NOTE_FIELDS) -> dict[str, Any]:
        """Return a note, or some fields of it, as clients read it."""
        context = {"request": self.request, "fields": fields}
        data: dict[str, Any] = NoteSerializer(note, context=context).data
        return data

    def answer(self, note: Note, *, status: int = 200, **more: Any) -> Response:
        """Return a note as the answer to a request, with its entity tag."""
        data = {**self.note_data(note), **more}
        return Response(data, status=status, headers={"ETag": preconditions.etag_of(note)})
