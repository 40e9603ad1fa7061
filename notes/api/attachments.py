"""``notes/{id}/file``: the note's main file."""

from typing import Any, ClassVar

from django.http import HttpResponseRedirect
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.permissions import HasScope
from notes import access, storage
from notes.actions import attachments
from notes.api.permissions import SCOPES, NotePermission
from notes.models import Attachment, Note
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


class UploadSerializer(serializers.Serializer[Any]):
    """A file in a multipart form."""

    file = serializers.FileField(allow_empty_file=True, max_length=1000)


class NoteFileView(GenericAPIView[Note]):
    """The main file of a note that the caller may see."""

    permission_classes = (IsAuthenticated, HasScope, NotePermission)
    scopes: ClassVar = SCOPES
    parser_classes = (MultiPartParser,)
    serializer_class = UploadSerializer
    queryset = Note.objects.none()
    verbs: ClassVar[dict[str, access.Verb]] = {"DELETE": "edit"}
    pagination_class = None

    def get_queryset(self) -> NoteQuerySet:
        return Note.objects.visible_to(caller(self.request)).with_file()

    @extend_schema(
        responses={
            302: OpenApiResponse(description="The file is at `Location` for the next 300 s.")
        }
    )
    def get(self, request: Request, pk: int) -> HttpResponseRedirect:
        """Be sent to the file: a signed address that needs no token and soon expires."""
        attachment = self.get_object().get_attachment()
        if attachment is None:
            raise NotFound
        stored = attachment.object
        return HttpResponseRedirect(storage.link(stored.key, attachment.name, stored.content_type))

    @extend_schema(
        request={"multipart/form-data": UploadSerializer}, responses={200: FileSerializer}
    )
    def put(self, request: Request, pk: int) -> Response:
        """Upload the file, or replace it."""
        note = self.get_object()
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        upload = given.validated_data["file"]
        note = attachments.store_file(
            note=note, name=upload.name, content=upload, by=caller(request), now=timezone.now()
        )
        return Response(FileSerializer(note.attachment, context={"request": request}).data)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take the file away."""
        note = self.get_object()
        if note.get_attachment() is None:
            raise NotFound
        attachments.remove_file(note=note, by=caller(request), now=timezone.now())
        return Response(status=204)
