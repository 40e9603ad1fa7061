"""``notes/{id}/related``: notes on the same subjects."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from accounts.identifiers import fold
from cloudnotes.api.validation import InputSerializer
from notes.actions import indexing, versions
from notes.api.representation import NoteEndpoint, NoteSerializer
from notes.api.search import FIELDS
from notes.models import Note, tags
from notes.search import relating

MAX_RELATED = 20


class RelatedSerializer(InputSerializer):
    """How many notes to name."""

    limit = serializers.IntegerField(default=10, min_value=1, max_value=MAX_RELATED)


class RelatedNoteSerializer(NoteSerializer):
    """A related note, with what both have: tags, and words as searches compare them."""

    shared_tags = serializers.ListField(child=serializers.CharField())
    shared_words = serializers.ListField(child=serializers.CharField())

    class Meta(NoteSerializer.Meta):
        fields = (*FIELDS, "shared_tags", "shared_words")
        read_only_fields = fields


class RelatedNotesSerializer(serializers.Serializer[Any]):
    """Related notes; of ``pending`` changes it is not known yet what they say."""

    results = RelatedNoteSerializer(many=True)
    pending = serializers.IntegerField()


class RelatedView(NoteEndpoint):
    """Notes that share tags or rare words with one."""

    pagination_class = None
    conditional = ()
    query_serializers: ClassVar = {"GET": RelatedSerializer}

    @extend_schema(responses={200: RelatedNotesSerializer})
    def get(self, request: Request, pk: int) -> Response:
        """Name the notes that are most about the same as this one, without their contents."""
        note, caller = self.get_object(), get_caller(request)
        pending = indexing.catch_up(caller=caller)
        related = relating.relate(
            note_id=note.pk,
            tags=tags.split(note.tags),
            caller=caller,
            at_most=self.query["limit"],
        )
        queryset = Note.objects.visible_to(caller).live().defer("content")
        rows = queryset.filter(pk__in=[each.note_id for each in related])
        notes = {
            other.pk: other
            for other in versions.mark_seen(list(rows), within=queryset, now=timezone.now())
        }
        results = [
            {
                **self.note_json(notes[each.note_id], FIELDS),
                "shared_tags": shared(note, notes[each.note_id]),
                "shared_words": each.words,
            }
            for each in related
            if each.note_id in notes
        ]
        return Response({"results": results, "pending": pending})


def shared(note: Note, other: Note) -> list[str]:
    """Return the tags that both notes have."""
    folded = {*map(fold, tags.split(other.tags))}
    return [name for name in tags.split(note.tags) if fold(name) in folded]
