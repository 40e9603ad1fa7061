"""``notes/{id}/revisions``: earlier versions of a note; read, compare, restore and pin them."""

from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, validate
from notes import differences, history
from notes.actions import revisions
from notes.api import preconditions
from notes.api.attachments import DOWNLOAD, FilesEndpoint, ShowSerializer
from notes.api.permissions import WRITING_SCOPES
from notes.api.representation import (
    FileSerializer,
    NoteEndpoint,
    NoteSerializer,
    or_404,
    root_of,
)
from notes.models import Note, Revision, attachments, tags
from notes.models.fields import EDITABLE, Place, show_attachment, state_json


class KeptFileSerializer(FileSerializer):
    """A file that a note had in a version."""

    id = serializers.IntegerField(read_only=True)
    width = serializers.IntegerField(read_only=True, allow_null=True)
    height = serializers.IntegerField(read_only=True, allow_null=True)
    is_main = serializers.BooleanField(read_only=True)


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """A revision in a list, without its content."""

    tags = serializers.SerializerMethodField()
    author = serializers.IntegerField(source="by_id", allow_null=True, read_only=True)
    pinned = serializers.BooleanField(source="is_pinned", read_only=True)
    attachments = serializers.SerializerMethodField()

    class Meta:
        model = Revision
        fields: tuple[str, ...] = (
            "version",
            "first_version",
            "title",
            "category",
            "tags",
            "attachments",
            "trashed_at",
            "author",
            "cause",
            "credential",
            "since",
            "replaced_at",
            "pinned",
        )
        read_only_fields = fields

    def get_tags(self, revision: Revision) -> list[str]:
        return tags.split(revision.tags)

    @extend_schema_field(KeptFileSerializer(many=True))
    def get_attachments(self, revision: Revision) -> Any:
        request = self.context["request"]
        note_url = f"{root_of(request)}/api/v1/notes/{revision.note_id}"
        place = Place(f"{note_url}/revisions/{revision.version}", is_past=True)
        files: Any = [show_attachment(file, place) for file in attachments.split(revision.files)]
        return KeptFileSerializer(files, many=True).data


class WholeRevisionSerializer(RevisionSerializer):
    """A revision with its content; ``replaced_at`` is null for what the note says now."""

    replaced_at = serializers.DateTimeField(allow_null=True, read_only=True)

    class Meta(RevisionSerializer.Meta):
        fields = (*RevisionSerializer.Meta.fields, "content")
        read_only_fields = fields


class PinSerializer(InputSerializer):
    """Whether a revision stays whatever its age."""

    pinned = serializers.BooleanField()


class AgainstSerializer(InputSerializer):
    """What to compare with."""

    against = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version to compare with; without it what the note says now.",
    )


class DifferenceSerializer(serializers.Serializer[Any]):
    """What changed from one version to another."""

    version = serializers.IntegerField()
    against = serializers.IntegerField()
    title = serializers.ListField(
        child=serializers.CharField(), help_text="The titles of both versions."
    )
    category = serializers.ListField(
        child=serializers.CharField(), help_text="The categories of both versions."
    )
    tags = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="The tags of both versions.",
    )
    diff = serializers.CharField(help_text="The contents as a unified diff; '' if they are equal.")


class RevisionViewSet(viewsets.ViewSetMixin, NoteEndpoint):
    """The history of a note that the caller may see; the note may be in the trash."""

    bodiless = ("restore",)
    query_serializers: ClassVar = {"diff": AgainstSerializer}

    serializer_class: Any = RevisionSerializer
    scopes: ClassVar = WRITING_SCOPES
    even_trashed = True
    conditional = ("POST",)
    cursor_scope: tuple[str | int, ...] = ()
    keyset = "version"

    @extend_schema(operation_id="notes_revisions_list")
    def list(self, request: Request, pk: int) -> Response:
        """List the revisions of a note, the last first."""
        note = self.get_object()
        self.cursor_scope = ("revisions", note.pk)
        page = self.paginate_queryset(self._revisions(note).defer("content"))
        return self.get_paginated_response(
            RevisionSerializer(page, many=True, context=self._context()).data
        )

    @extend_schema(responses={200: WholeRevisionSerializer})
    def retrieve(self, request: Request, pk: int, version: int) -> Response:
        """Read what a note said in a version, also in the one it is in now."""
        state = self._state(self.get_seen_note(), version)
        return Response(WholeRevisionSerializer(state, context=self._context()).data)

    @extend_schema(responses={200: DifferenceSerializer})
    def diff(self, request: Request, pk: int, version: int) -> Response:
        """Compare what a note said in a version with another one, or with what it says now."""
        note = self.get_seen_note()
        against = self.query.get("against", note.version)
        old, new = self._state(note, version), self._state(note, against)
        before, after = (
            state_json({name: getattr(state, name) for name in EDITABLE if name != "content"})
            for state in (old, new)
        )
        payload = {
            "version": version,
            "against": against,
            **{name: [before[name], after[name]] for name in before},
            "diff": differences.unified(
                old.content,
                new.content,
                old_name=f"version {version}",
                new_name=f"version {against}",
            ),
        }
        return Response(DifferenceSerializer(payload).data)

    @extend_schema(request=None, responses={200: NoteSerializer})
    def restore(self, request: Request, pk: int, version: int) -> Response:
        """Give the note all that a version said again, tags and category too, as a new version."""
        note, expected = self.get_object(), preconditions.expected_versions(request)
        self._state(note, version)  # a missing version is 404, whatever If-Match says
        return self.note_response(
            revisions.restore_state(
                version=version,
                note=note,
                by=get_caller(request),
                now=timezone.now(),
                expected=expected,
            )
        )

    @extend_schema(request=PinSerializer, responses={200: RevisionSerializer})
    def partial_update(self, request: Request, pk: int, version: int) -> Response:
        """Pin a revision, so that it is never thinned out, or unpin it."""
        revision = or_404(self._revisions(self.get_object()).filter(version=version).first())
        shown = WholeRevisionSerializer(revision, context=self._context()).data
        is_pinned = validate(PinSerializer, request.data, shown=shown)["pinned"]
        revision = revisions.pin_revision(revision=revision, is_pinned=is_pinned)
        return Response(RevisionSerializer(revision, context=self._context()).data)

    def _context(self) -> dict[str, Any]:
        return {"request": self.request}

    def _revisions(self, note: Note) -> Any:
        return Revision.objects.visible_to(get_caller(self.request)).filter(note=note)

    def _state(self, note: Note, version: int) -> Revision:
        return or_404(history.get_state(note, version, caller=get_caller(self.request)))


@waits_for_storage("GET", "HEAD")
class RevisionFileView(FilesEndpoint):
    """A file that a note had in a version."""

    even_trashed = True
    conditional: ClassVar[tuple[str, ...]] = ()
    query_serializers: ClassVar = {"GET": ShowSerializer}

    @extend_schema(operation_id="notes_revisions_download", responses=DOWNLOAD)
    def get(self, request: Request, pk: int, version: int, attachment_id: int) -> HttpResponseBase:
        """Get a file as it was, or be sent to it."""
        state = or_404(history.get_state(self.get_object(), version, caller=get_caller(request)))
        return self.download_response(request, self.get_file(state, attachment_id))
