"""``notes/{id}/attachments``: the files of a note; ``notes/{id}/file``: the main one."""

import datetime as dt
import math
from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import idempotency
from accounts.callers import get_caller
from cloudnotes.api.errors import DomainError
from cloudnotes.api.location import location
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, validate
from notes import access
from notes.actions import attachments
from notes.api import preconditions
from notes.api.fields import TextField
from notes.api.representation import (
    AttachmentSerializer,
    FileSerializer,
    NoteEndpoint,
    or_404,
    root_of,
)
from notes.api.uploading import (
    FileNegotiation,
    OctetsParser,
    StoringParser,
    UploadSerializer,
    take_file,
)
from notes.files import downloads, objects, thumbnailing
from notes.models import Note, Revision, StoredObject, Thumbnail
from notes.models.attachments import File, main, split
from notes.models.fields import place_of, show_attachment, show_attachments, show_file

SENT_ON = OpenApiResponse(
    description="The file is at `Location` for the next 300 s: a signed address without a token."
)
WHOLE = OpenApiResponse(
    {"type": "string", "format": "binary"}, description="The file, where it lies on our disk."
)
DOWNLOAD = {
    (200, "*/*"): WHOLE,
    (206, "*/*"): OpenApiResponse({"type": "string", "format": "binary"}, description="A range."),
    302: SENT_ON,
    304: None,
    416: OpenApiResponse(description="The range lies outside of the file."),
}
FORM = {
    "multipart/form-data": UploadSerializer,
    "application/octet-stream": OpenApiTypes.BINARY,
}


class ThumbnailPending(DomainError):
    """The worker has not made the thumbnail yet, or will retry later."""

    status = 404
    code = "thumbnail_pending"
    detail = "The thumbnail is being made. Try again after `Retry-After`."

    def __init__(self, retry_at: dt.datetime | None = None) -> None:
        super().__init__()
        seconds = (retry_at - timezone.now()).total_seconds() if retry_at else 0
        self.wait = max(2, math.ceil(seconds))


class NoThumbnail(DomainError):
    """The file is no image, or an image that could not be opened."""

    status = 404
    code = "no_thumbnail"
    detail = "This file is not an image that could be opened, so it has no thumbnail."


class ShowSerializer(InputSerializer):
    """How a file is to be given."""

    inline = serializers.BooleanField(
        default=False, help_text="To be shown by a browser, which counts for pictures and text."
    )


class RemoveSerializer(InputSerializer):
    """How to remove."""

    permanent = serializers.BooleanField(
        default=False, help_text="For good: the history does not keep it, and the room is free."
    )


class FileNameSerializer(InputSerializer):
    """Another name for a file."""

    name = TextField(max_length=1000, allow_blank=False)


class FilesSerializer(serializers.Serializer[Any]):
    """The files of a note, all of them."""

    results = AttachmentSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="null: there is no other page.")


class SizeSerializer(InputSerializer):
    """Which thumbnail."""

    size = serializers.ChoiceField(
        choices=thumbnailing.SIZES, default=320, help_text="The longer side in pixels, at most."
    )


class OctetsSerializer(InputSerializer):
    """What a body is called that is the file itself, not a form."""

    name = TextField(
        max_length=1000,
        allow_blank=False,
        required=False,
        help_text="The name, for a body of octets.",
    )


BY_METHOD = {"GET": ShowSerializer, "PUT": OctetsSerializer, "DELETE": RemoveSerializer}


class FilesEndpoint(NoteEndpoint):
    """Base of the views of a note's files. Their entity tags are those of the note."""

    serializer_class: Any = UploadSerializer
    content_negotiation_class = FileNegotiation
    conditional: ClassVar[tuple[str, ...]] = ("PUT", "PATCH", "POST", "DELETE")
    verbs: ClassVar[dict[str, access.Verb]] = {"DELETE": "edit"}
    pagination_class = None
    problems: ClassVar = {
        409: "The note has all the files that it may.",
        413: "The file is too large, or the account holds all that it may (`quota_exceeded`).",
    }

    def get_parsers(self) -> list[BaseParser]:
        # There is no request while the schema is generated; it gets the default parsers.
        if self.request is not None and self.request.method in ("PUT", "POST"):
            return [StoringParser(), OctetsParser()]
        return super().get_parsers()

    def get_file(self, note: Note | Revision, attachment_id: int) -> File:
        """Return a file of a note or of one of its revisions. Raises NotFound."""
        return or_404(next((file for file in split(note.files) if file.id == attachment_id), None))

    def download_response(self, request: Request, file: File) -> HttpResponseBase:
        """Return a response with the bytes of a file, or a redirect to them. Raises NotFound."""
        stored = or_404(StoredObject.objects.filter(pk=file.object, state="ready").first())
        headers = {name.lower(): value for name, value in request.headers.items()}
        return downloads.answer(stored, file.name, headers=headers, is_inline=self.query["inline"])

    def attachment_response(self, note: Note, file: File, **options: Any) -> Response:
        """Return a response that describes a file, with the note's entity tag.

        ``options`` are those of DRF's ``Response``.
        """
        headers = {"ETag": preconditions.etag_of(note), **options.pop("headers", {})}
        body = show_attachment(file, place_of(note, root_of(self.request)))
        return Response(body, headers=headers, **options)


@waits_for_storage("GET", "HEAD", "PUT", "DELETE?")
class NoteFileView(FilesEndpoint):
    """The main file of a note that the caller may see."""

    query_serializers: ClassVar = BY_METHOD

    @extend_schema(responses=DOWNLOAD)
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """Get the file, or be sent to it."""
        file = or_404(main(self.get_object().files))
        return self.download_response(request, file)

    @extend_schema(request=FORM, responses={200: FileSerializer})
    def put(self, request: Request, pk: int) -> Response:
        """Upload the file, or replace it."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        name, row = take_file(request, note)
        with objects.discarded_if_refused(row):
            note, file = attachments.store_main_file(
                note=note, name=name, stored=row, by=get_caller(request), now=timezone.now(),
                expected=expected,
            )  # fmt: skip
        body = show_file(file, place_of(note, root_of(request)), address="file")
        return Response(body, headers={"ETag": preconditions.etag_of(note)})

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take the file away."""
        file = or_404(main(self.get_object().files))
        return _remove(self, request, file.id)


@waits_for_storage("POST")
class AttachmentsView(FilesEndpoint):
    """The files of a note that the caller may see."""

    keeps_own_answers = True
    query_serializers: ClassVar = {"POST": OctetsSerializer}

    @extend_schema(responses={200: FilesSerializer})
    def get(self, request: Request, pk: int) -> Response:
        """List the files of a note, at most 100, in the order in which they were added."""
        note = self.get_object()
        files = show_attachments(note.files, note, root_of(request))
        return Response(
            {"results": files, "next": None}, headers={"ETag": preconditions.etag_of(note)}
        )

    @extend_schema(request=FORM, responses={201: AttachmentSerializer})
    def post(self, request: Request, pk: int) -> Any:
        """Add a file, which is stored while it arrives."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        name, row = take_file(request, note)
        is_used = []

        def add() -> Response:
            is_used.append(True)
            changed, file = attachments.add_file(
                note=note, name=name, stored=row, by=get_caller(request), now=timezone.now(),
                expected=expected,
            )  # fmt: skip
            collection = f"/api/v1/notes/{note.pk}/attachments"
            headers = {"Location": location(request, file.id, collection=collection)}
            return self.attachment_response(changed, file, status=201, headers=headers)

        with objects.discarded_if_refused(row):
            response = idempotency.once(self, said=f"{name}\n{row.sha256}", ask=add)
        if not is_used:
            objects.discard(row.key)
        return response


@waits_for_storage("GET", "HEAD", "PUT", "DELETE?")
class AttachmentView(FilesEndpoint):
    """A file of a note that the caller may see."""

    query_serializers: ClassVar = BY_METHOD

    @extend_schema(operation_id="notes_attachments_download", responses=DOWNLOAD)
    def get(self, request: Request, pk: int, attachment_id: int) -> HttpResponseBase:
        """Get the file, or be sent to it."""
        return self.download_response(request, self.get_file(self.get_object(), attachment_id))

    @extend_schema(request=FORM, responses={200: AttachmentSerializer})
    def put(self, request: Request, pk: int, attachment_id: int) -> Response:
        """Replace the file by another, which gets its address."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        self.get_file(note, attachment_id)
        name, row = take_file(request, note)
        with objects.discarded_if_refused(row):
            note, file = attachments.replace_file(
                note=note, attachment_id=attachment_id, name=name, stored=row,
                by=get_caller(request), now=timezone.now(), expected=expected,
            )  # fmt: skip
        return self.attachment_response(note, file)

    @extend_schema(request=FileNameSerializer, responses={200: AttachmentSerializer})
    def patch(self, request: Request, pk: int, attachment_id: int) -> Response:
        """Rename the file."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        file = self.get_file(note, attachment_id)
        shown = show_attachment(file, place_of(note, root_of(request)))
        validated = validate(FileNameSerializer, request.data, shown=shown)
        note, file = attachments.rename_file(
            note=note, attachment_id=attachment_id, name=validated["name"],
            by=get_caller(request), now=timezone.now(), expected=expected,
        )  # fmt: skip
        return self.attachment_response(note, file)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int, attachment_id: int) -> Response:
        """Take the file away; the history keeps it, unless it goes for good."""
        return _remove(self, request, attachment_id)


@waits_for_storage("GET", "HEAD")
class ThumbnailView(FilesEndpoint):
    """A small picture of a file that is an image."""

    conditional: ClassVar[tuple[str, ...]] = ()
    query_serializers: ClassVar = {"GET": SizeSerializer}
    problems: ClassVar = {404: "There is nothing to show, or the thumbnail is still being made."}

    @extend_schema(
        operation_id="notes_attachments_thumbnail",
        responses={code: response for code, response in DOWNLOAD.items() if code != 416},
    )
    def get(self, request: Request, pk: int, attachment_id: int) -> HttpResponseBase:
        """Get a WebP of the image that fits into a square, or be sent to it."""
        file = self.get_file(self.get_object(), attachment_id)
        thumbnails = Thumbnail.objects.filter(source=file.object, size=self.query["size"])
        thumbnail = thumbnails.select_related("object").first()
        if thumbnail is None:
            pending = StoredObject.objects.filter(pk=file.object, thumbnails_due_at__isnull=False)
            if (stored := pending.first()) is None:
                raise NoThumbnail
            raise ThumbnailPending(stored.thumbnails_due_at if stored.thumbnails_failed else None)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return downloads.answer(thumbnail.object, "thumbnail.webp", headers=headers, is_inline=True)


def _remove(view: FilesEndpoint, request: Request, attachment_id: int) -> Response:
    note, is_permanent = view.get_object(), view.query["permanent"]
    if not is_permanent:
        view.get_file(note, attachment_id)
    note = attachments.remove_file(
        note=note, attachment_id=attachment_id, by=get_caller(request),
        now=timezone.now(), expected=preconditions.expected_versions(request),
        for_good=is_permanent,
    )  # fmt: skip
    return Response(status=204, headers={"ETag": preconditions.etag_of(note)})
