"""The index of searches, which follows its owner's feed.

A write does nothing for it: whoever searches has what has changed since the last search indexed
first, and the worker does so every few seconds for everybody. So a note that is saved ten times
while it is being written is indexed once or twice, and nobody who writes waits for it. That no
change is missed is the promise of the feed.
"""

import time

from django.db import Error, IntegrityError, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from accounts.models import User
from cloudnotes.expressions import OctetLength
from notes.models import Change, Feed, IndexedNote, Note, SearchIndex, tags
from notes.search import terms

AT_ONCE = 100  # notes
BYTES_AT_ONCE = 2 * 2**20
USERS_AT_ONCE = 20
REQUEST_SECONDS, WORKER_SECONDS = 1.0, 5.0
REPLACED = ("owner_id", "edited_at", "terms", "words", "stems")


def catch_up(*, user: User, seconds: float = REQUEST_SECONDS) -> int:
    """Index what has changed since the last time; return how many changes are left to be indexed.

    It ends with the feed, after ``seconds``, or when the database is too busy.
    """
    deadline = time.monotonic() + seconds
    try:
        while is_behind(user):
            if time.monotonic() > deadline:
                return left(user)
            _index_some(user)
    except Error:  # a search tells what it could not look into; the worker comes again
        return left(user)
    return 0


def is_behind(user: User) -> bool:
    """Return whether there are changes that are not indexed yet."""
    return behind().filter(pk=user.pk).exists()


def left(user: User) -> int:
    """Return how many changes are not indexed yet."""
    index = SearchIndex.objects.filter(pk=user.pk, made=_made(user.language)).first()
    return Change.objects.filter(user=user, seq__gt=index.seq if index else 0).count()


def index_due() -> bool:
    """Index what has changed in some accounts; a worker's job.

    Returns whether there may be more.
    """
    found = list(User.objects.filter(pk__in=behind().values("pk")[:USERS_AT_ONCE]))
    for user in found:
        catch_up(user=user, seconds=WORKER_SECONDS)
    return len(found) == USERS_AT_ONCE or any(map(is_behind, found))


def behind() -> QuerySet[Feed]:
    """Return the feeds that an index has not followed to their ends."""
    index = SearchIndex.objects.filter(pk=OuterRef("pk"))
    wanted = Concat(F("user__language"), Value(f"/{terms.FORMAT}"))
    feeds = Feed.objects.filter(seq__gt=0).annotate(
        made=Subquery(index.values("made")), indexed=Subquery(index.values("seq"))
    )
    return feeds.filter(Q(made=None) | ~Q(made=wanted) | Q(indexed__lt=F("seq")))


def _made(language: str) -> str:
    return f"{language}/{terms.FORMAT}"


def _index_some(user: User) -> None:
    """Index the next changes of a user's feed.

    They are read and prepared without a lock; what another process has indexed meanwhile is left.
    """
    made = _made(user.language)
    index = SearchIndex.objects.filter(pk=user.pk).first() or SearchIndex(user=user)
    start = index.seq if index.made == made else 0
    changes = Change.objects.filter(user=user, seq__gt=start).order_by("seq")
    ids: list[int] = []
    end, size = start, 0
    # Of a note that is gone the size is none: only the number counts.
    sizes = changes.annotate(size=OctetLength("note__content"))
    for seq, note_id, length in sizes.values_list("seq", "note_id", "size")[:AT_ONCE]:
        size += length or 0
        if size > BYTES_AT_ONCE and ids:
            break
        end = seq
        ids.append(note_id)
    mine = Note.objects.filter(owner=user, pk__in=ids).select_related("attachment")
    # By id, so that two transactions that hold notes never wait for each other.
    rows = [_indexed(note, user.language) for note in mine.order_by("pk")]
    try:
        with transaction.atomic():
            SearchIndex.objects.bulk_create([SearchIndex(user=user)], ignore_conflicts=True)
            locked = SearchIndex.objects.select_for_update().get(pk=user.pk)
            if (locked.seq, locked.made) != (index.seq, index.made):
                return
            IndexedNote.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["note"], update_fields=REPLACED
            )
            locked.seq, locked.made = end, made
            locked.save(update_fields=["seq", "made"])
    except IntegrityError:
        return  # a note was deleted meanwhile: the next time it is not there


def _indexed(note: Note, language: str) -> IndexedNote:
    file = note.get_attachment()
    is_marked = {
        "favorite": note.is_favorite,
        "archived": note.is_archived,
        "file": file is not None,
    }
    names = tags.split(note.tags)
    prepared = terms.prepare(
        owner=note.owner_id,
        parts=(note.title, ", ".join(names), file.name if file else "", note.content),
        tags=names,
        category=note.category,
        marks=[mark for mark, is_so in is_marked.items() if is_so],
        is_trashed=note.trashed_at is not None,
        language=language,
    )
    return IndexedNote(
        note_id=note.pk,
        owner_id=note.owner_id,
        edited_at=note.updated_at,
        terms=prepared.terms,
        words=prepared.words,
        stems=prepared.stems,
    )
