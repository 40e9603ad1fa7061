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
from notes.models import Note, attachments, tags
from notes.models.attachments import File
from notes.models.notes import NoteQuerySet


class FileSerializer(serializers.Serializer[File]):
    """A note's main file; ``url`` stays the same and asks for the token each time."""

    name = serializers.CharField(read_only=True)
    size = serializers.IntegerField(read_only=True)
    content_type = serializers.CharField(read_only=True)
    sha256 = serializers.CharField(read_only=True)
    url = serializers.SerializerMethodField()

    def get_url(self, file: File) -> str:
        is_past = self.context.get("is_past", False)
        return self.address(f"attachments/{file.id}" if is_past else "file")

    def address(self, path: str) -> str:
        """Return the address of something of the note that the context names."""
        request: Request = self.context["request"]
        return request.build_absolute_uri(f"/api/v1/notes/{self.context['note']}/{path}")


class AttachmentSerializer(FileSerializer):
    """A file of a note; ``width`` and ``height`` in pixels, and ``thumbnail``, are of images."""

    id = serializers.IntegerField(read_only=True)
    width = serializers.IntegerField(read_only=True, allow_null=True)
    height = serializers.IntegerField(read_only=True, allow_null=True)
    is_main = serializers.BooleanField(read_only=True)
    thumbnail = serializers.SerializerMethodField()

    def get_url(self, file: File) -> str:
        return self.address(f"attachments/{file.id}")

    def get_thumbnail(self, file: File) -> str | None:
        has_one = file.is_image and not self.context.get("is_past", False)
        return self.address(f"attachments/{file.id}/thumbnail") if has_one else None


class NoteSerializer(serializers.ModelSerializer[Note]):
    """A note as it is read."""

    tags = serializers.SerializerMethodField()
    file = serializers.SerializerMethodField()
    attachments = serializers.SerializerMethodField()

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
            "attachments",
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
        file = attachments.main(note.files)
        if file is None:
            return None
        data: dict[str, Any] = FileSerializer(file, context=self._of(note)).data
        return data

    @extend_schema_field(AttachmentSerializer(many=True))
    def get_attachments(self, note: Note) -> Any:
        if not note.files:
            return []
        context = self._of(note)
        files = attachments.split(note.files)
        return [AttachmentSerializer(file, context=context).data for file in files]

    def _of(self, note: Note) -> dict[str, Any]:
        """Return the context of a note's files: of one as it was, those of that version."""
        past = f"/revisions/{note.version}" if getattr(note, "then", None) else ""
        return {**self.context, "note": f"{note.pk}{past}", "is_past": bool(past)}


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
        notes = Note.objects.visible_to(caller(self.request))
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
