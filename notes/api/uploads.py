"""``notes/{id}/attachments/uploads``: files that clients upload to the storage directly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from cloudnotes.api.location import location
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, validate
from notes import access
from notes.actions import uploads
from notes.api.fields import TextField
from notes.api.permissions import WRITING_SCOPES
from notes.api.representation import AttachmentSerializer, NoteEndpoint, or_404, root_of
from notes.files import objects, storage
from notes.models import Note, Upload
from notes.models.attachments import split
from notes.models.fields import place_of, show_attachment


class AnnouncedSerializer(InputSerializer):
    """What is to be uploaded: its name, its size in bytes and its SHA-256 in hex."""

    name = TextField(max_length=1000, allow_blank=False)
    size = serializers.IntegerField(min_value=0, max_value=2**53)
    sha256 = serializers.RegexField(r"^[0-9a-f]{64}\Z", trim_whitespace=False)


class PartSerializer(serializers.Serializer[uploads.Part]):
    """A part to be PUT: ``size`` bytes from ``start`` on."""

    number = serializers.IntegerField()
    start = serializers.IntegerField()
    size = serializers.IntegerField()
    url = serializers.CharField()


@dataclass
class Progress:
    """The state of an upload: the URLs for what is missing, or the attachment it became."""

    upload: Upload
    method: str = "PUT"
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[uploads.Part] | None = None
    attachment: dict[str, Any] | None = None


class UploadStateSerializer(serializers.Serializer[Progress]):
    """An upload: where to send what while it is open, and the file that it became.

    Links are good for 300 s; ask again for new ones, and for the parts that are still missing.
    """

    id = serializers.IntegerField(source="upload.pk")
    state = serializers.ChoiceField(choices=Upload.State.choices, source="upload.state")
    name = serializers.CharField(source="upload.name")
    size = serializers.IntegerField(source="upload.size")
    sha256 = serializers.CharField(source="upload.sha256")
    method = serializers.CharField(help_text="PUT")
    url = serializers.CharField(allow_null=True, help_text="Where to send it, if it is one piece.")
    headers = serializers.DictField(
        child=serializers.CharField(), help_text="What has to be sent with it, exactly so."
    )
    parts = PartSerializer(
        many=True, allow_null=True, help_text="The next missing parts; null if it is one piece."
    )
    attachment = AttachmentSerializer(allow_null=True)
    created_at = serializers.DateTimeField(source="upload.created_at")
    expires_at = serializers.DateTimeField(source="upload.expires_at")


@waits_for_storage("GET", "HEAD", "POST", "DELETE")
class UploadEndpoint(NoteEndpoint):
    """Base of the views of a note's uploads."""

    serializer_class: Any = AnnouncedSerializer
    conditional: ClassVar[tuple[str, ...]] = ()
    verbs: ClassVar[dict[str, access.Verb]] = {"GET": "edit", "DELETE": "edit"}
    # An upload is part of a write: whoever has its signed URLs can write.
    scopes: ClassVar = {**WRITING_SCOPES, "GET": "notes:append", "POST": "notes:append"}
    pagination_class = None
    problems: ClassVar = {
        409: "The upload is over, is being completed, or something of it is missing; or the note "
        "has all the files that it may.",
        413: "The file is too large, or the account holds all that it may (`quota_exceeded`).",
        422: "The bytes are not those that were announced.",
    }

    def get_upload(self, request: Request, pk: int) -> Upload:
        """Return an upload to a note that the caller may edit. Raises NotFound."""
        rows = Upload.objects.filter(note=self.get_object(), pk=pk)
        return or_404(rows.select_related("object", "note").first())

    def upload_response(
        self, upload: Upload, *, status: int = 200, has_links: bool = True
    ) -> Response:
        """Return a response with the state of an upload, with signed URLs if ``has_links``."""
        progress = Progress(upload)
        if upload.state == Upload.State.OPEN and has_links:
            links = uploads.links(upload)
            if isinstance(links, list):
                progress.parts = links
            else:
                url, progress.headers = links
                progress.url = self.request.build_absolute_uri(url)
        if upload.attachment_id:
            files_text = (
                Note.objects.filter(pk=upload.note_id).values_list("files", flat=True).first()
            )
            matching = [file for file in split(files_text or "") if file.id == upload.attachment_id]
            place = place_of(upload.note, root_of(self.request))
            progress.attachment = show_attachment(matching[0], place) if matching else None
        return Response(UploadStateSerializer(progress).data, status=status)


class UploadsView(UploadEndpoint):
    """New uploads to a note."""

    @extend_schema(request=AnnouncedSerializer, responses={201: UploadStateSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Announce a file. What is larger than 16 MiB comes in parts: GET the upload for them."""
        validated = validate(AnnouncedSerializer, request.data)
        max_bytes = (
            settings.MAX_DIRECT_FILE_BYTES if storage.takes_parts() else settings.MAX_FILE_BYTES
        )
        if validated["size"] > max_bytes:
            raise objects.FileTooLarge(max_bytes)
        upload = uploads.begin(
            note=self.get_object(),
            by=get_caller(request),
            now=timezone.now(),
            **validated,
        )
        # The storage makes the links to parts, which may be slow, and this may run in a transaction
        # (Idempotency-Key).
        response = self.upload_response(
            upload, status=201, has_links=not uploads.is_in_parts(upload)
        )
        collection = f"/api/v1/notes/{pk}/attachments/uploads"
        response.headers["Location"] = location(request, upload.pk, collection=collection)
        return response


class UploadView(UploadEndpoint):
    """An upload to a note."""

    @extend_schema(responses={200: UploadStateSerializer})
    def get(self, request: Request, pk: int, upload_id: int) -> Response:
        """See how far it is, with new links to what is still to be sent."""
        return self.upload_response(self.get_upload(request, upload_id))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int, upload_id: int) -> Response:
        """Give it up; one that is done stays the file that it is."""
        uploads.abort(upload=self.get_upload(request, upload_id))
        return Response(status=204)


class CompleteView(UploadEndpoint):
    """The end of an upload."""

    bodiless = ("POST",)

    # Completing is idempotent by itself, and calls the storage outside of a transaction.
    keeps_own_answers = True

    @extend_schema(request=None, responses={200: UploadStateSerializer, 202: UploadStateSerializer})
    def post(self, request: Request, pk: int, upload_id: int) -> Response:
        """Say that it is there: it is checked, and is a file from then on.

        202 for one that takes longer to be read through: GET the upload until it is `done`.
        """
        upload = uploads.complete(
            upload=self.get_upload(request, upload_id), by=get_caller(request), now=timezone.now()
        )
        is_done = upload.state == Upload.State.DONE
        return self.upload_response(upload, status=200 if is_done else 202)
