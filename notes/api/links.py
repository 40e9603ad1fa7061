"""``notes/{id}/links``: the notes that a note links to, and those that link to it."""

from typing import Any

from django.db.models import Exists, Min, OuterRef, Q
from django.db.models.functions import Substr
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import Caller, get_caller
from cloudnotes.api.location import is_own
from notes.actions import indexing
from notes.api.representation import NoteEndpoint
from notes.markdown import wikilinks
from notes.models import IndexedNote, Link, Note
from notes.models.links import KEY_LENGTH, MAX_LONGER_TITLES
from notes.search import terms

MAX_INCOMING = 1000


class LinkedNoteSerializer(serializers.Serializer[Any]):
    """A note at the other end of a link."""

    id = serializers.IntegerField()
    title = serializers.CharField()


class OutgoingSerializer(serializers.Serializer[Any]):
    """A link as it is written, where, and the note that is meant; null where there is none."""

    text = serializers.CharField()
    start = serializers.IntegerField(help_text="In characters (Unicode code points).")
    end = serializers.IntegerField()
    note = LinkedNoteSerializer(allow_null=True)


class LinksSerializer(serializers.Serializer[Any]):
    """The links of a note, and the notes that link to it, the oldest first."""

    outgoing = OutgoingSerializer(many=True)
    incoming = LinkedNoteSerializer(many=True)
    pending = serializers.IntegerField()


class LinksView(NoteEndpoint):
    """Links between notes: `[[Title]]`, or to the URL of a note."""

    pagination_class = None
    conditional = ()

    @extend_schema(responses={200: LinksSerializer})
    def get(self, request: Request, pk: int) -> Response:
        """Say what a note links to and what links to it, at most 1,000 of each.

        Of several notes with a title the oldest is meant. Where a note is renamed, the notes that
        link to it are written anew, within seconds or when this is asked.
        """
        caller = get_caller(request)
        self.get_object()
        pending = indexing.catch_up(caller=caller)
        note = self.get_object()
        return Response(
            {
                "outgoing": outgoing(note, caller),
                "incoming": incoming(note, caller),
                "pending": pending,
            }
        )


def outgoing(note: Note, caller: Caller) -> list[dict[str, Any]]:
    """Return the links of a note, each with its target if the user may see that note."""
    links = wikilinks.find(note.content, is_own=is_own)
    titles = {reading.title for link in links for reading in link.readings}
    keys = {title: terms.title_key(title) for title in titles}
    by_key = resolve_titles({*keys.values()}, caller)
    ids = {link.note_id for link in links if link.note_id} | {*by_key.values()}
    live = Note.objects.visible_to(caller).live().filter(pk__in=ids)
    live_titles = dict(live.values_list("pk", "title"))
    results = []
    for link in links:
        meant = (by_key.get(keys[reading.title]) for reading in link.readings)
        target = link.note_id or next((pk for pk in meant if pk), None)
        results.append(
            {
                "text": note.content[link.start : link.end],
                "start": link.start,
                "end": link.end,
                "note": {"id": target, "title": live_titles[target]}
                if target in live_titles
                else None,
            }
        )
    return results


def resolve_titles(keys: set[str], caller: Caller) -> dict[str, int]:
    """Return the id of the note that each title key means: the oldest that is not trashed."""
    indexed = IndexedNote.objects.visible_to(caller).in_order(caller).filter(title_key__in=keys)
    live = indexed.filter(note__trashed_at=None).order_by().values("title_key")
    return dict(live.annotate(oldest=Min("pk")).values_list("title_key", "oldest"))


def incoming(note: Note, caller: Caller) -> list[dict[str, Any]]:
    """Return the notes that link to a note, of those that the user may see."""
    key = terms.title_key(note.title)
    condition = Q(target_id=note.pk)
    if key and resolve_titles({key}, caller).get(key) == note.pk:
        condition |= Q(title_key=key) & ~_means_a_longer_title(caller)
    sources = Link.objects.filter(condition, owner_id=note.owner_id).values("source")
    live = Note.objects.visible_to(caller).live().filter(pk__in=sources).order_by("pk")
    return [
        {"id": pk, "title": title} for pk, title in live.values_list("pk", "title")[:MAX_INCOMING]
    ]


def _means_a_longer_title(caller: Caller) -> Q:
    """Return the condition of rows of :class:`notes.models.Link` that do not count: see there."""
    indexed = IndexedNote.objects.visible_to(caller).in_order(caller).filter(note__trashed_at=None)
    condition = Q()
    for position in range(1, KEY_LENGTH * MAX_LONGER_TITLES, KEY_LENGTH):
        key = Substr(OuterRef("unless"), position, KEY_LENGTH)
        condition |= Q(Exists(indexed.filter(title_key=key).exclude(title_key="")))
    return condition & ~Q(unless="")
