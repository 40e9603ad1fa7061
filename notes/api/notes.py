"""``notes``: list, create, read, replace, change and delete; ``notes/{id}/title``."""

from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import CategoryField
from accounts.authentication import caller
from accounts.permissions import HasScope
from notes import access
from notes.actions import notes as note_actions
from notes.api.attachments import FileSerializer
from notes.api.permissions import SCOPES, NotePermission
from notes.models import Note
from notes.models.notes import MAX_CONTENT_BYTES, NoteQuerySet


class TextField(serializers.CharField):
    """Text and nothing else: DRF would make text of numbers, and change them on the way."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, allow_blank=True, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class ContentField(TextField):
    """Markdown exactly as sent, at most 1 MiB in UTF-8."""

    def to_internal_value(self, data: Any) -> str:
        content = super().to_internal_value(data)
        if len(content.encode()) > MAX_CONTENT_BYTES:
            raise serializers.ValidationError(
                f"A note's content has at most {MAX_CONTENT_BYTES} bytes in UTF-8.",
                code="max_bytes",
            )
        return content


class TitleField(TextField):
    """A title of at most 200 characters, exactly as sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=200, **options)


class NoteSerializer(serializers.ModelSerializer[Note]):
    """A note as it is read."""

    file = serializers.SerializerMethodField()

    class Meta:
        model = Note
        fields = (
            "id",
            "title",
            "content",
            "category",
            "version",
            "file",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @extend_schema_field(FileSerializer(allow_null=True))
    def get_file(self, note: Note) -> dict[str, Any] | None:
        attachment = note.get_attachment()
        if attachment is None:
            return None
        data: dict[str, Any] = FileSerializer(attachment, context=self.context).data
        return data


class NoteWriteSerializer(serializers.Serializer[Any]):
    """A note as it is written."""

    title = TitleField()
    content = ContentField(default="")
    category = CategoryField(required=False)


class TitleSerializer(serializers.Serializer[Any]):
    """A title alone."""

    title = TitleField()


class NoteViewSet(viewsets.GenericViewSet[Note]):
    """The notes that the caller may see."""

    permission_classes = (IsAuthenticated, HasScope, NotePermission)
    scopes: ClassVar = SCOPES
    serializer_class = NoteSerializer
    queryset = Note.objects.none()
    keyset = "updated_at"
    heavy_column = "content"
    max_json_bytes = settings.MAX_JSON_BYTES

    def get_queryset(self) -> NoteQuerySet:
        return Note.objects.visible_to(caller(self.request)).with_file()

    def list(self, request: Request) -> Response:
        """List notes, the last edited first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=NoteWriteSerializer, responses={201: NoteSerializer})
    def create(self, request: Request) -> Response:
        """Write a new note."""
        given = NoteWriteSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = caller(request)
        fields = {"category": user.limited_to_category, **given.validated_data}
        self._check_category(fields)
        note = note_actions.create_note(**fields, by=user, now=timezone.now())
        answer = self.get_serializer(note).data
        location = request.build_absolute_uri(f"{request.path.rstrip('/')}/{note.pk}")
        return Response(answer, status=201, headers={"Location": location})

    def retrieve(self, request: Request, pk: int) -> Response:
        """Read one note."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=NoteWriteSerializer, responses={200: NoteSerializer})
    def update(self, request: Request, pk: int) -> Response:
        """Replace title and content; the category stays unless it is sent."""
        return self._write(request, NoteWriteSerializer(data=request.data))

    @extend_schema(request=NoteWriteSerializer(partial=True), responses={200: NoteSerializer})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent and leave the rest."""
        return self._write(request, NoteWriteSerializer(data=request.data, partial=True))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a note with its file."""
        note_actions.delete_note(note=self.get_object(), by=caller(request))
        return Response(status=204)

    @extend_schema(request=TitleSerializer, responses={200: NoteSerializer})
    @action(detail=True, methods=["put"])
    def title(self, request: Request, pk: int) -> Response:
        """Change the title alone."""
        return self._write(request, TitleSerializer(data=request.data))

    def _check_category(self, fields: dict[str, Any]) -> None:
        category = fields.get("category")
        if category is not None and not access.may_file_under(caller(self.request), category):
            raise PermissionDenied

    def _write(self, request: Request, given: serializers.Serializer[Any]) -> Response:
        note = self.get_object()
        given.is_valid(raise_exception=True)
        self._check_category(given.validated_data)
        note = note_actions.update_note(
            note=note, changes=given.validated_data, by=caller(request), now=timezone.now()
        )
        return Response(self.get_serializer(note).data)
