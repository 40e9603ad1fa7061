"""``search``: notes by their words."""

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
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.models import User
from cloudnotes.api import cursors
from notes.actions import indexing, versions
from notes.api.fields import TextField
from notes.api.listing import UnknownParameters
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


class PageSerializer(UnknownParameters, serializers.Serializer[Any]):
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
    """The notes that the caller may see, by their words."""

    scopes: ClassVar = SCOPES

    @extend_schema(parameters=[SearchSerializer], responses={200: FoundNotesSerializer})
    def get(self, request: Request) -> Response:
        """Find notes, the best answer first; a page may be short and still have a `next`."""
        asked = SearchSerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return find(request, **asked.validated_data)


def find(request: Request, q: str, limit: int, cursor: str = "") -> Response:
    """Return the answer to a search. Raises BrokenQuery and ValidationError."""
    search, user = grammar.parse(q), caller(request)
    after = read_cursor(cursor, q, user) if cursor else None
    pending = indexing.catch_up(user=user)
    plan = finding.plan(search, owner=user.pk, language=user.language)
    page = finding.find(plan, user=user, after=after, limit=limit)
    # The beginnings of the contents are enough for their excerpts.
    notes = within(user, search).defer("content").annotate(beginning=BEGINNING)
    found: Any = versions.mark_seen(
        list(notes.filter(pk__in=page.ids)), within=notes, now=timezone.now()
    )
    looked_for = excerpts.wanted(finding.wanted_words(search), user.language)
    told = {
        note["id"]: found_data(note, source.beginning, looked_for, user.language)
        for note, source in zip(light(found, request), found, strict=True)
    }
    following = write_cursor(page.end, q, user) if page.end else None
    results = [told[pk] for pk in page.ids if pk in told]
    return Response({"results": results, "next": following, "pending": pending})


def within(user: User, search: grammar.Search) -> NoteQuerySet:
    """Return the notes that a search is about, as their readers see them."""
    notes = Note.objects.visible_to(user)
    return notes if search.with_trash else notes.live()


def light(notes: Sequence[Any], request: Request) -> list[dict[str, Any]]:
    """Return notes without their contents as clients read them."""
    return [note_json(note, root_of(request), FIELDS) for note in notes]


def found_data(
    note: dict[str, Any], content: str, looked_for: excerpts.Wanted, language: str
) -> dict[str, Any]:
    """Return a note that was found as clients read it, with an excerpt of its content."""
    excerpt = excerpts.excerpt(content, looked_for, language)
    return {
        **note,
        "excerpt": excerpt.text,
        "excerpt_start": excerpt.start,
        "highlights": {
            "title": excerpts.mark(note["title"], looked_for, language),
            "excerpt": excerpt.spans,
        },
    }


def read_cursor(cursor: str, q: str, user: User) -> Place:
    """Return where a page of the same search ended. Raises ValidationError."""
    for order in (finding.SCORE, finding.TITLED, finding.RECENT):
        try:
            return Place(order, *cursors.read(cursor, order, _scope(q, user)))
        except cursors.NotACursor:
            continue
    raise ValidationError(
        {"cursor": "This is not a cursor that this search gave out."}, code="invalid_cursor"
    )


def write_cursor(place: Place, q: str, user: User) -> str:
    """Return where a page of a search ended, as clients keep it."""
    return cursors.write(place.order, place.value, place.key, _scope(q, user))


def _scope(q: str, user: User) -> tuple[str, ...]:
    # What it was is in the address anyway; a digest keeps the cursor short.
    return (f"user {user.pk}", hashlib.sha256(q.encode()).hexdigest()[:16])
