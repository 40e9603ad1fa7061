"""The notes in the words of the first generation: ``/items``, and ``/notes`` as a plain list."""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import Caller, get_caller
from cloudnotes.api.location import location
from cloudnotes.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, fitting
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, validate
from notes import access
from notes.actions import notes as note_actions
from notes.actions import versions
from notes.api import listing, preconditions
from notes.api.fields import ContentField, TitleField
from notes.api.notes import NoteViewSet
from notes.api.representation import NoteEndpoint
from notes.models import Note
from notes.models.fields import show_time
from notes.models.notes import NoteQuerySet

MAX_SKIP = 10_000


class SliceSerializer(InputSerializer):
    """Which notes of a plain list."""

    skip = serializers.IntegerField(required=False, min_value=0, max_value=MAX_SKIP)
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)
    page = serializers.IntegerField(required=False, min_value=1, max_value=MAX_SKIP)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "skip" in attrs and "page" in attrs:
            raise serializers.ValidationError({"page": "Say `skip` or `page`, not both."})
        return attrs


def take(notes: NoteQuerySet, params: dict[str, Any], *, with_content: bool = True) -> NoteQuerySet:
    """Return the slice of ordered notes that ``skip`` or ``page``, and ``limit`` ask for.

    Raises ValidationError if their texts are too long for one answer.
    """
    limit = params["limit"]
    start = params.get("skip", (params.get("page", 1) - 1) * limit)
    is_checked = with_content and limit > DEFAULT_LIMIT
    if is_checked and fitting(notes[start : start + limit], "content", limit) < limit:
        raise serializers.ValidationError(
            {"limit": "These notes are too long for one answer. Ask for fewer."}
        )
    return notes[start : start + limit]


class PlainListSerializer(listing.ListSerializer, SliceSerializer):
    """Which notes to list, as a plain list."""

    format = serializers.ChoiceField(choices=["list"], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return SliceSerializer.validate(self, super().validate(attrs))


class PlainNoteViewSet(NoteViewSet):
    """``/notes``, with a plain list for ``?format=list``, ``?skip=`` and ``?page=``."""

    schema = None

    def get_query_serializer(self) -> type[InputSerializer] | None:
        is_plain = {"format", "skip", "page"} & {*self.request.query_params}
        if self.action == "list" and is_plain:
            return PlainListSerializer
        return super().get_query_serializer()

    def list(self, request: Request) -> Response:
        if self.get_query_serializer() is not PlainListSerializer:
            return super().list(request)
        listed = listing.read(self.query)
        for name in ("as_of", "cursor", "count"):
            if name in request.query_params:
                raise serializers.ValidationError({name: "It goes with no plain list."})
        sign = "" if listed.order.is_ascending else "-"
        visible = listed.select(Note.objects.visible_to(get_caller(request)))
        notes = visible.order_by(f"{sign}{listed.order.keyset}", f"{sign}pk")
        page = versions.mark_seen(
            list(take(notes, self.query, with_content="content" in listed.fields)),
            within=visible,
            now=timezone.now(),
        )
        return Response([self.note_json(note, listed.fields) for note in page])


class ItemSerializer(InputSerializer):
    """An item as it is written."""

    title = TitleField()
    description = ContentField(required=False)


class ReplacedItemSerializer(ItemSerializer):
    """An item as it replaces another one."""

    description = ContentField()


@waits_for_storage("DELETE?")
class ItemViewSet(viewsets.ViewSetMixin, NoteEndpoint):
    """The notes that the caller may see, as items."""

    schema = None
    query_serializers: ClassVar = {"list": SliceSerializer}

    def list(self, request: Request) -> Response:
        visible = self.get_queryset()
        notes = list(take(visible.order_by("created_at", "pk"), self.query))
        notes = versions.mark_seen(notes, within=visible, now=timezone.now())
        return Response([item_json(note, get_caller(request)) for note in notes])

    def create(self, request: Request) -> Response:
        fields, caller = validate(ItemSerializer, request.data), get_caller(request)
        if not access.may_file_under(caller, caller.category):
            raise PermissionDenied
        note = note_actions.create_note(
            title=fields["title"],
            content=fields.get("description", ""),
            category=caller.category,
            flags={},
            by=caller,
            now=timezone.now(),
        )
        response = self._response(note, status=201)
        response.headers["Location"] = location(request, note.pk)
        return response

    def retrieve(self, request: Request, pk: int) -> Response:
        return self._response(self.get_seen_note())

    def update(self, request: Request, pk: int) -> Response:
        return self._write(request, ReplacedItemSerializer)

    def partial_update(self, request: Request, pk: int) -> Response:
        return self._write(request, ItemSerializer, partial=True)

    def destroy(self, request: Request, pk: int) -> Response:
        expected = preconditions.expected_versions(request)
        note_actions.trash_note(
            note=self.get_object(), by=get_caller(request), expected=expected, now=timezone.now()
        )
        return Response(status=204)

    def _write(
        self, request: Request, serializer_class: type[InputSerializer], *, partial: bool = False
    ) -> Response:
        note, caller = self.get_object(), get_caller(request)
        expected = preconditions.expected_versions(request)
        shown = item_json(note, caller)
        fields = validate(serializer_class, request.data, partial=partial, shown=shown)
        names = {"title": "title", "description": "content"}
        changes = {names[name]: value for name, value in fields.items()}
        if not access.may_write(caller, note, changes):
            raise PermissionDenied
        note = note_actions.update_note(
            note=note, changes=changes, by=caller, now=timezone.now(), expected=expected
        )
        return self._response(note)

    def _response(self, note: Note, *, status: int = 200) -> Response:
        tag = preconditions.etag_of(note)
        return Response(
            item_json(note, get_caller(self.request)), status=status, headers={"ETag": tag}
        )


def item_json(note: Note, caller: Caller) -> dict[str, Any]:
    """Return a note of the caller's as an item."""
    return {
        "id": note.pk,
        "title": note.title,
        "description": note.content,
        "owner": caller.user.username or caller.user.email,
        "created_at": show_time(note.created_at, note, ""),
    }
