"""Base of the views of one note: its lookup, its JSON and its entity tag."""

from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from accounts.permissions import HasScope
from cloudnotes.api.views import GenericAPIView
from notes.actions.versions import mark_seen
from notes.api import preconditions
from notes.api.permissions import SCOPES, NotePermission
from notes.models import Note
from notes.models.attachments import File
from notes.models.fields import NAMES, Names, note_json
from notes.models.notes import NoteQuerySet

Child = TypeVar("Child")


class FileSerializer(serializers.Serializer[File]):
    """A note's main file; ``url`` stays the same and asks for the token each time."""

    name = serializers.CharField(read_only=True)
    size = serializers.IntegerField(read_only=True)
    content_type = serializers.CharField(read_only=True)
    sha256 = serializers.CharField(read_only=True)
    url = serializers.CharField(read_only=True)


class AttachmentSerializer(FileSerializer):
    """A file of a note; ``width`` and ``height`` in pixels, and ``thumbnail``, are of images."""

    id = serializers.IntegerField(read_only=True)
    width = serializers.IntegerField(read_only=True, allow_null=True)
    height = serializers.IntegerField(read_only=True, allow_null=True)
    is_main = serializers.BooleanField(read_only=True)
    thumbnail = serializers.CharField(read_only=True, allow_null=True)


class NoteSerializer(serializers.ModelSerializer[Note]):
    """A note as it is read, for the schema; ``notes.models.fields.note_json`` makes it."""

    tags = serializers.ListField(child=serializers.CharField(), read_only=True)
    file = FileSerializer(read_only=True, allow_null=True)
    attachments = AttachmentSerializer(many=True, read_only=True)

    class Meta:
        model = Note
        fields: tuple[str, ...] = NAMES
        read_only_fields = fields


def root_of(request: Request) -> str:
    """Return scheme and host of a request, such as ``https://notes.example.org``."""
    return request.build_absolute_uri("/").removesuffix("/")


def or_404(child: Child | None) -> Child:
    """Return what was looked up within a note, such as a file or a revision.

    Raises NotFound for None, the same problem as for a note that the caller may not see. The note
    itself comes first, from ``NoteEndpoint.get_object``, which checks who may see and change it.
    """
    if child is None:
        raise NotFound
    return child


class NoteEndpoint(preconditions.ShowsCurrent, GenericAPIView[Note]):
    """Base of the views of one note."""

    permission_classes = (IsAuthenticated, HasScope, NotePermission)
    scopes: ClassVar = SCOPES
    conditional: ClassVar[tuple[str, ...]] = ("GET", "PUT", "PATCH", "POST", "DELETE")
    queryset = Note.objects.none()
    max_json_bytes = settings.MAX_JSON_BYTES

    even_trashed = False  # whether the view also takes notes from the trash

    def get_queryset(self) -> NoteQuerySet:
        notes = Note.objects.visible_to(get_caller(self.request))
        return notes if self.even_trashed else notes.live()

    def get_seen_note(self) -> Note:
        """Return the note and record that the caller sees its current state. Raises NotFound."""
        queryset = self.get_queryset()
        notes = mark_seen([self.get_object()], within=queryset, now=timezone.now())
        return or_404(notes[0] if notes else None)

    def note_json(self, note: Note, names: Names = NAMES) -> dict[str, Any]:
        """Return a note as a JSON object, with all of its members or with those in ``names``."""
        return note_json(note, root_of(self.request), names)

    def note_response(self, note: Note, *, status: int = 200, **extra: Any) -> Response:
        """Return a response with a note and its entity tag; ``extra`` are further members."""
        payload = {**self.note_json(note), **extra}
        return Response(payload, status=status, headers={"ETag": preconditions.etag_of(note)})
