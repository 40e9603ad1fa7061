"""``notes``: list, create, read, replace, change, delete and restore; ``notes/{id}/title``."""

import builtins
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import transaction
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import idempotency
from accounts.callers import get_caller
from cloudnotes.api.errors import DomainError
from cloudnotes.api.location import location
from cloudnotes.api.parsers import FormParser
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import ANYTHING, InputSerializer, validate
from notes import access, history
from notes.actions import attachments, versions
from notes.actions import notes as note_actions
from notes.api import listing, preconditions
from notes.api.fields import ContentField, TitleField, WritableSerializer
from notes.api.representation import NoteEndpoint, NoteSerializer, root_of
from notes.api.uploading import StoredFileField, StoringParser, take_form
from notes.files import objects
from notes.markdown.titles import title_of
from notes.models import Feed, Note
from notes.models.fields import FLAGS, NAMES, note_json
from notes.models.notes import MAX_TITLE_LENGTH, NoteQuerySet


class NoteWriteSerializer(WritableSerializer):
    """A new note; without a title, it gets the first line of its content."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "title" in attrs:
            return attrs
        if "content" not in attrs:
            raise serializers.ValidationError({"title": "Say a title or a content."}, "required")
        return {**attrs, "title": title_of(attrs["content"], at_most=MAX_TITLE_LENGTH)}


class NoteFormSerializer(NoteWriteSerializer):
    """A new note in a multipart form, with a file if there is one."""

    file = StoredFileField(required=False, allow_empty_file=True, max_length=1000)


class NoteReplaceSerializer(WritableSerializer):
    """A note as it replaces another one."""

    title = TitleField()
    content = ContentField()


class MergedNoteSerializer(NoteSerializer):
    """A note that was written; ``merged`` when the write was merged with others."""

    merged = serializers.BooleanField(required=False)

    class Meta(NoteSerializer.Meta):
        fields = (*NoteSerializer.Meta.fields, "merged")
        read_only_fields = fields


class TitleSerializer(InputSerializer):
    """A title alone."""

    title = TitleField()


class DeleteSerializer(InputSerializer):
    """How to delete."""

    permanent = serializers.BooleanField(
        default=False, help_text="For good, with history and file, from the trash or past it."
    )


FORM_TYPE = "multipart/form-data"


def take_flags(fields: dict[str, Any]) -> dict[str, bool]:
    """Remove the flags from the validated fields of a note and return them."""
    return {name: fields.pop(name) for name in FLAGS if name in fields}


@waits_for_storage("DELETE?")
class NoteViewSet(viewsets.ViewSetMixin, NoteEndpoint):
    """The notes that the caller may see."""

    serializer_class = NoteSerializer
    keeps_own_answers = FORM_TYPE
    problems: ClassVar = {
        409: "What this belongs to was deleted meanwhile; or, with `Prefer: merge`, both changes "
        "touch the same lines: `base`, `yours` and `current` are what is to be brought together."
    }
    bodiless = ("destroy", "restore")
    query_serializers: ClassVar = {"list": listing.ListSerializer, "destroy": DeleteSerializer}
    keyset = "updated_at"
    ascending = False
    heavy_column: str | None = "content"
    cursor_scope: tuple[str, ...] = ()

    @extend_schema(responses={200: NoteSerializer(many=True), 304: None})
    def list(self, request: Request) -> Response:
        """List notes, the last edited first; with `If-None-Match`, only if one has changed."""
        listed, caller = listing.read(self.query), get_caller(request)
        notes = Note.objects.visible_to(caller)
        if time := listed.params.get("as_of"):
            return self.get_paginated_response(self._as_of(notes, time))
        notes = listed.select(notes)
        self.keyset, self.ascending = listed.order.keyset, listed.order.is_ascending
        self.heavy_column = "content" if "content" in listed.fields else None
        self.cursor_scope = listed.scope
        # The feed's token is read before the page: if the feed changes in between, the tag is too
        # old, and the client only downloads the page once more.
        root, path = root_of(request), request.get_full_path()
        tag = preconditions.list_etag(
            caller, Feed.objects.get_token(caller), f"{root}/", path, *NAMES
        )
        if preconditions.etag_matches(request.headers.get("If-None-Match", ""), tag):
            return Response(status=304, headers={"ETag": tag})
        page = versions.mark_seen(
            self.paginate_queryset(notes) or [], within=notes, now=timezone.now()
        )
        response = self.get_paginated_response(
            [note_json(note, root, listed.fields) for note in page]
        )
        response.headers["ETag"] = tag
        return response

    def _as_of(self, notes: NoteQuerySet, time: dt.datetime) -> Sequence[dict[str, Any]]:
        self.keyset, self.heavy_column = "created_at", "content_then"
        self.cursor_scope = ("as_of", time.isoformat())
        then = history.as_of(notes, time, get_caller(self.request).category)
        page = versions.mark_seen(
            self.paginate_queryset(then) or [], within=then, now=timezone.now()
        )
        return [self.note_json(note) for note in history.rewound(page)]

    def get_parsers(self) -> builtins.list[BaseParser]:
        parsers = super().get_parsers()
        # There is no request while the schema is generated.
        if self.request is not None and self.request.method == "POST" and self._is_new():
            parsers += [FormParser(), StoringParser()]
        return parsers

    def _is_new(self) -> bool:
        return "pk" not in getattr(self, "kwargs", {})

    @extend_schema(
        request={
            "application/json": NoteWriteSerializer,
            "application/x-www-form-urlencoded": NoteWriteSerializer,
            FORM_TYPE: NoteFormSerializer,
        },
        responses={201: NoteSerializer},
    )
    def create(self, request: Request) -> Any:
        """Write a new note; as a form, it may bring a file with it."""
        if request._request.content_type == FORM_TYPE:
            return self._create_with_file(request)
        note = self._create(validate(NoteWriteSerializer, request.data))
        return self._created(note)

    def _create_with_file(self, request: Request) -> HttpResponseBase:
        caller = get_caller(request)
        fields = take_form(request, NoteFormSerializer, owner_id=caller.pk)
        file, used = fields.pop("file", None), []

        def make() -> Response:
            used.append(file)
            note = self._create(fields)
            if file:
                note, _ = attachments.store_main_file(
                    note=note, name=file.name, stored=file.row, by=caller, now=timezone.now()
                )
            return self._created(note)

        body_summary = repr((fields, file and (file.name, file.row.sha256)))
        try:
            with transaction.atomic():
                response = idempotency.once(self, said=body_summary, ask=make)
        except (DomainError, PermissionDenied):
            used.clear()
            raise
        finally:
            if file and not used:
                objects.discard(file.row.key)
        return response

    def _create(self, validated: dict[str, Any]) -> Note:
        caller = get_caller(self.request)
        fields = {"content": "", "category": caller.category, **validated}
        self._check_category(fields)
        flags = take_flags(fields)
        return note_actions.create_note(**fields, flags=flags, by=caller, now=timezone.now())

    def _created(self, note: Note) -> Response:
        response = self.note_response(note, status=201)
        response.headers["Location"] = location(self.request, note.pk)
        return response

    @extend_schema(responses={200: NoteSerializer, 304: None})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Read one note; with `If-None-Match`, only if it is in another version."""
        if "If-None-Match" in request.headers:
            rows = self.get_queryset().filter(pk=pk).values_list("version", *FLAGS)
            for tag in [preconditions.etag(*row) for row in rows]:
                if preconditions.etag_matches(request.headers["If-None-Match"], tag):
                    return Response(status=304, headers={"ETag": tag})
        return self.note_response(self.get_seen_note())

    @extend_schema(
        parameters=[preconditions.PREFER_MERGE],
        request=NoteReplaceSerializer,
        responses={200: MergedNoteSerializer},
    )
    def update(self, request: Request, pk: int) -> Response:
        """Replace title and content; category, tags and flags stay unless they are sent.

        With `Prefer: merge` a change of an earlier version, the one in `If-Match`, is merged.
        """
        return self._write(request, NoteReplaceSerializer)

    @extend_schema(
        parameters=[preconditions.PREFER_MERGE],
        request=WritableSerializer,
        responses={200: MergedNoteSerializer},
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent and leave the rest.

        With `Prefer: merge` a change of an earlier version, the one in `If-Match`, is merged.
        """
        return self._write(request, WritableSerializer)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Move a note to the trash, where it stays for 30 days."""
        expected = preconditions.expected_versions(request)
        if self.query["permanent"]:
            self.even_trashed = True
            note_actions.purge_note(
                note=self.get_object(), by=get_caller(request), expected=expected
            )
        else:
            note_actions.trash_note(
                note=self.get_object(),
                by=get_caller(request),
                expected=expected,
                now=timezone.now(),
            )
        return Response(status=204)

    @extend_schema(request=None, responses={200: NoteSerializer})
    def restore(self, request: Request, pk: int) -> Response:
        """Take a note out of the trash."""
        expected = preconditions.expected_versions(request)
        return self.note_response(
            note_actions.restore_note(
                note=self.get_object(),
                by=get_caller(request),
                expected=expected,
                now=timezone.now(),
            )
        )

    @extend_schema(
        parameters=[preconditions.PREFER_MERGE],
        request=TitleSerializer,
        responses={200: MergedNoteSerializer},
    )
    def title(self, request: Request, pk: int) -> Response:
        """Change the title alone."""
        return self._write(request, TitleSerializer)

    def _check_category(self, fields: Mapping[str, Any]) -> None:
        category = fields.get("category")
        if category is not None and not access.may_file_under(get_caller(self.request), category):
            raise PermissionDenied

    def _write(self, request: Request, serializer_class: type[InputSerializer]) -> Response:
        note, now, caller = self.get_object(), timezone.now(), get_caller(request)
        expected = preconditions.expected_versions(request)
        shown = {**self.note_json(note), "merged": ANYTHING}
        if expected is not None and note.version not in expected:
            # The precondition decides what becomes of a change of another version.
            shown = dict.fromkeys(shown, ANYTHING)
        changes = validate(serializer_class, request.data, shown=shown)
        if not access.may_write(caller, note, changes):
            raise PermissionDenied
        self._check_category(changes)
        flags = take_flags(changes)
        if not (preconditions.wants_merge(request) and expected and len(expected) == 1):
            return self.note_response(
                note_actions.update_note(
                    note=note, changes=changes, flags=flags, by=caller, now=now, expected=expected
                )
            )
        (base_version,) = expected
        note, is_merged = note_actions.merge_note(
            note=note, changes=changes, flags=flags, base_version=base_version, by=caller, now=now
        )
        response = self.note_response(note, **({"merged": True} if is_merged else {}))
        response.headers["Preference-Applied"] = "merge"
        return response
