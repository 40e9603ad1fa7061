"""``search``: finds notes by their words."""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models.functions import Left
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import Caller, get_caller
from cloudnotes.api import cursors
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView
from notes.actions import indexing, versions
from notes.api.fields import TextField
from notes.api.permissions import SCOPES
from notes.api.representation import NoteSerializer, root_of
from notes.models import Note
from notes.models.fields import NAMES, note_json
from notes.models.notes import NoteQuerySet
from notes.search import excerpts, finding, grammar
from notes.search.finding import Place

SYNTAX = 'Words, "phrases", -not, OR; tag:, in:, is:, has:, before:, after:, title:.'
PAGE, LONGEST_PAGE = 20, 50
BEGINNING = Left("content", excerpts.LOOKED_THROUGH + excerpts.MAX_EXCERPT)
FIELDS = tuple(name for name in NAMES if name != "content")


class PageSerializer(InputSerializer):
    """Which part of what is found."""

    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=LONGEST_PAGE)
    cursor = serializers.CharField(required=False, help_text="The `next` of the page before.")


class SearchSerializer(PageSerializer):
    """What to look for."""

    q = TextField(help_text=SYNTAX)


class HighlightsSerializer(serializers.Serializer[Any]):
    """Where the words were found: pairs of begin and end, in characters (Unicode code points)."""

    title = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    excerpt = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class FoundNoteSerializer(NoteSerializer):
    """A note that was found, with the part of its content that has the words."""

    excerpt = serializers.CharField()
    excerpt_start = serializers.IntegerField(help_text="Where in the content, in characters.")
    highlights = HighlightsSerializer()

    class Meta(NoteSerializer.Meta):
        fields = (*FIELDS, "excerpt", "excerpt_start", "highlights")
        read_only_fields = fields


class FoundNotesSerializer(serializers.Serializer[Any]):
    """A page of what was found; of ``pending`` changes it is not known yet what they say."""

    results = FoundNoteSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    pending = serializers.IntegerField()


class SearchView(APIView):
    """Search in the notes that the caller may see."""

    scopes: ClassVar = SCOPES
    query_serializers: ClassVar = {"GET": SearchSerializer}

    @extend_schema(responses={200: FoundNotesSerializer})
    def get(self, request: Request) -> Response:
        """Find notes, the best answer first; a page may be short and still have a `next`."""
        return find(request, **self.query)


def find(request: Request, q: str, limit: int, cursor: str = "") -> Response:
    """Return the response to a search. Raises BrokenQuery and ValidationError."""
    search, caller = grammar.parse(q), get_caller(request)
    after = read_cursor(cursor, q, caller) if cursor else None
    pending = indexing.catch_up(caller=caller)
    plan = finding.plan(search, owner=caller.pk, language=caller.user.language)
    page = finding.find(plan, caller=caller, after=after, limit=limit)
    # Excerpts need only the beginnings of the contents.
    queryset = searched_notes(caller, search).defer("content").annotate(beginning=BEGINNING)
    notes: Any = versions.mark_seen(
        list(queryset.filter(pk__in=page.ids)), within=queryset, now=timezone.now()
    )
    wanted = excerpts.wanted(finding.wanted_words(search), caller.user.language)
    results = {
        summary["id"]: result_json(summary, note.beginning, wanted, caller.user.language)
        for summary, note in zip(summaries(notes, request), notes, strict=True)
    }
    next_cursor = write_cursor(page.end, q, caller) if page.end else None
    ordered = [results[pk] for pk in page.ids if pk in results]
    return Response({"results": ordered, "next": next_cursor, "pending": pending})


def searched_notes(caller: Caller, search: grammar.Search) -> NoteQuerySet:
    """Return the notes that the user may see, live ones only unless the query names the trash."""
    notes = Note.objects.visible_to(caller)
    return notes if search.with_trash else notes.live()


def summaries(notes: Sequence[Any], request: Request) -> list[dict[str, Any]]:
    """Return notes as JSON objects without their contents."""
    return [note_json(note, root_of(request), FIELDS) for note in notes]


def result_json(
    summary: dict[str, Any], content: str, wanted: excerpts.Wanted, language: str
) -> dict[str, Any]:
    """Return a note that was found as a JSON object, with an excerpt of its content."""
    excerpt = excerpts.excerpt(content, wanted, language)
    return {
        **summary,
        "excerpt": excerpt.text,
        "excerpt_start": excerpt.start,
        "highlights": {
            "title": excerpts.mark(summary["title"], wanted, language),
            "excerpt": excerpt.spans,
        },
    }


def read_cursor(cursor: str, q: str, caller: Caller) -> Place:
    """Decode a cursor of the same search and user. Raises ValidationError."""
    for order in finding.ORDERS:
        try:
            return Place(order, *cursors.read(cursor, order, _scope(q, caller)))
        except cursors.NotACursor:
            continue
    raise ValidationError(
        {"cursor": "This is not a cursor that this search gave out."}, code="invalid_cursor"
    )


def write_cursor(place: Place, q: str, caller: Caller) -> str:
    """Return the cursor of the place where a page of a search ended."""
    return cursors.write(place.order, place.value, place.key, _scope(q, caller))


def _scope(q: str, caller: Caller) -> tuple[str, ...]:
    # The client sends the query again in the URL; a digest keeps the cursor short.
    return (f"user {caller.pk}", hashlib.sha256(q.encode()).hexdigest()[:16])
