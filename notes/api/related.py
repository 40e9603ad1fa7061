"""``notes/{id}/related``: notes about the same."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.identifiers import fold
from notes.actions import indexing, versions
from notes.api.listing import UnknownParameters
from notes.api.representation import NoteEndpoint, NoteSerializer
from notes.api.search import FIELDS
from notes.models import Note, tags
from notes.search import relating

MOST = 20


class RelatedSerializer(UnknownParameters, serializers.Serializer[Any]):
    """How many notes to name."""

    limit = serializers.IntegerField(default=10, min_value=1, max_value=MOST)


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

    @extend_schema(parameters=[RelatedSerializer], responses={200: RelatedNotesSerializer})
    def get(self, request: Request, pk: int) -> Response:
        """Name the notes that are most about the same as this one, without their contents."""
        asked = RelatedSerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        note, user = self.get_object(), caller(request)
        pending = indexing.catch_up(user=user)
        related = relating.relate(
            note_id=note.pk,
            tags=tags.split(note.tags),
            user=user,
            at_most=asked.validated_data["limit"],
        )
        notes = Note.objects.visible_to(user).live().defer("content")
        some = notes.filter(pk__in=[one.note_id for one in related])
        found = {n.pk: n for n in versions.mark_seen(list(some), within=notes, now=timezone.now())}
        told = [
            {
                **self.note_json(found[one.note_id], FIELDS),
                "shared_tags": shared(note, found[one.note_id]),
                "shared_words": one.words,
            }
            for one in related
            if one.note_id in found
        ]
        return Response({"results": told, "pending": pending})


def shared(note: Note, other: Note) -> list[str]:
    """Return the tags that both notes have."""
    theirs = {*map(fold, tags.split(other.tags))}
    return [name for name in tags.split(note.tags) if fold(name) in theirs]
