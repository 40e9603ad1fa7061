"""``notes/{id}/file``: the note's main file."""

from typing import Any, ClassVar

from django.http import HttpResponseRedirect
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from notes import access, storage
from notes.actions import attachments
from notes.api import preconditions
from notes.api.representation import FileSerializer, NoteEndpoint


class UploadSerializer(serializers.Serializer[Any]):
    """A file in a multipart form."""

    file = serializers.FileField(allow_empty_file=True, max_length=1000)


class NoteFileView(NoteEndpoint):
    """The main file of a note that the caller may see. Its ETag is that of the note."""

    parser_classes = (MultiPartParser,)
    serializer_class = UploadSerializer
    conditional = ("PUT", "DELETE")
    verbs: ClassVar[dict[str, access.Verb]] = {"DELETE": "edit"}
    pagination_class = None

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
        note, expected = self.get_object(), preconditions.expected_versions(request)
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        upload = given.validated_data["file"]
        note = attachments.store_file(
            note=note,
            name=upload.name,
            content=upload,
            by=caller(request),
            now=timezone.now(),
            expected=expected,
        )
        return Response(
            FileSerializer(note.attachment, context={"request": request}).data,
            headers={"ETag": preconditions.etag_of(note)},
        )

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take the file away."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        if note.get_attachment() is None:
            raise NotFound
        note = attachments.remove_file(
            note=note, by=caller(request), now=timezone.now(), expected=expected
        )
        return Response(status=204, headers={"ETag": preconditions.etag_of(note)})
