"""The index of searches, which follows its owner's feed.

A write does nothing for it: whoever searches has what has changed since the last search indexed
first, and the worker does so every few seconds for everybody. So a note that is saved ten times
while it is being written is indexed once or twice, and nobody who writes waits for it. That no
change is missed is the promise of the feed.
"""

import time
from collections.abc import Iterator, Sequence

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from accounts.models import User
from cloudnotes.db.expressions import OctetLength
from notes.actions import links
from notes.markdown import wikilinks
from notes.models import Change, Feed, IndexedNote, Link, Note, SearchIndex, attachments, tags
from notes.search import terms

INDEX_BATCH_SIZE = 100  # notes
MAX_BYTES = 2 * 2**20
USER_BATCH_SIZE = 20
REQUEST_SECONDS, WORKER_SECONDS = 1.0, 5.0
REPLACED = ("edited_at", "title_key", "renamed_from", "terms", "words", "stems")


def catch_up(*, user: User, seconds: float = REQUEST_SECONDS) -> int:
    """Index what has changed since the last time; return how many changes are left to be indexed.

    It ends with the feed, after ``seconds``, or when the database is too busy.
    """
    deadline = time.monotonic() + seconds
    try:
        while is_behind(user):
            if time.monotonic() > deadline:
                return left(user)
            # As it is now: its language may have been changed.
            owner = User.objects.get(pk=user.pk)
            if not _index_some(owner):
                links.follow_renames(owner=owner, until=deadline)
    except Error:  # a search tells what it could not look into; the worker comes again
        return left(user)
    except ObjectDoesNotExist:  # the account was deleted meanwhile
        pass
    return 0


def is_behind(user: User) -> bool:
    """Return whether there are changes that are not indexed yet."""
    return behind().filter(pk=user.pk).exists()


def left(user: User) -> int:
    """Return how many changes that a user may hear of are not indexed yet."""
    index = SearchIndex.objects.filter(pk=user.pk, made=_made(user.language)).first()
    changes = Change.objects.filter(user=user, seq__gt=index.seq if index else 0)
    if user.limited_to_category:
        changes = changes.filter(note__in=Note.objects.visible_to(user))
    return changes.count()


def index_due() -> bool:
    """Index what has changed in some accounts; a worker's job.

    Returns whether there may be more. Which accounts it takes is left to chance, so that one that
    cannot be indexed holds up no others.
    """
    users = list(User.objects.filter(pk__in=behind().order_by("?").values("pk")[:USER_BATCH_SIZE]))
    done = [catch_up(user=user, seconds=WORKER_SECONDS) == 0 for user in users]
    return any(done) and (len(users) == USER_BATCH_SIZE or not all(done))


def behind() -> QuerySet[Feed]:
    """Return the feeds that an index has not followed to their ends, or links not to new titles."""
    index = SearchIndex.objects.filter(pk=OuterRef("pk"))
    current = Concat(F("user__language"), Value(f"/{terms.FORMAT}"))
    feeds = Feed.objects.filter(seq__gt=0).annotate(
        made=Subquery(index.values("made")), indexed=Subquery(index.values("seq"))
    )
    renamed = IndexedNote.objects.filter(owner_id=OuterRef("pk"), renamed_from__isnull=False)
    return feeds.filter(Q(made=None) | ~Q(made=current) | Q(indexed__lt=F("seq")) | Exists(renamed))


def _made(language: str) -> str:
    return f"{language}/{terms.FORMAT}"


def _index_some(user: User) -> bool:
    """Index the next changes of a user's feed and return whether there were any.

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
    for seq, note_id, length in sizes.values_list("seq", "note_id", "size")[:INDEX_BATCH_SIZE]:
        size += length or 0
        if size > MAX_BYTES and ids:
            break
        end = seq
        ids.append(note_id)
    if not ids and (index.seq, index.made) == (start, made):
        return False
    notes = list(Note.objects.filter(owner=user, pk__in=ids))
    prepared = {note.pk: _indexed(note, user.language) for note in notes}
    with transaction.atomic():
        SearchIndex.objects.bulk_create([SearchIndex(user=user)], ignore_conflicts=True)
        locked = SearchIndex.objects.select_for_update().get(pk=user.pk)
        if (locked.seq, locked.made) != (index.seq, index.made):
            return True
        # By id, as all writers do, and not those that were deleted meanwhile: whoever deletes a
        # note holds it and waits for what is indexed of it.
        query = Note.objects.select_for_update(no_key=True).filter(pk__in=prepared).order_by("pk")
        rows = [prepared[pk] for pk in query.values_list("pk", flat=True)]
        for row, title_key, renamed_from in _with_link_keys(rows):
            # Renamed again, or back, before the links have followed: they still say the first one.
            linked_key = renamed_from or title_key
            row.renamed_from = linked_key if linked_key not in ("", row.title_key) else None
        IndexedNote.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["note"], update_fields=REPLACED
        )
        Link.objects.filter(owner_id=user.pk, source__in=ids).delete()
        indexed_ids = {row.pk for row in rows}
        new_links = (link for note in notes if note.pk in indexed_ids for link in _links(note))
        Link.objects.bulk_create(new_links)
        locked.seq, locked.made = end, made
        locked.save(update_fields=["seq", "made"])
    return True


def _with_link_keys(rows: Sequence[IndexedNote]) -> Iterator[tuple[IndexedNote, str, str | None]]:
    """Yield the rows that there are already, with what links call their notes by."""
    by_id = {row.pk: row for row in rows}
    indexed = IndexedNote.objects.filter(pk__in=by_id)
    for pk, title_key, renamed_from in indexed.values_list("pk", "title_key", "renamed_from"):
        yield by_id[pk], title_key, renamed_from


def _links(note: Note) -> list[Link]:
    targets = dict.fromkeys(
        (terms.title_key(link.title), link.note_id) for link in wikilinks.find(note.content)
    )
    about = {"source": note, "owner_id": note.owner_id}
    return [Link(**about, title_key=key, target_id=target) for key, target in targets]


def _indexed(note: Note, language: str) -> IndexedNote:
    files = attachments.split(note.files)
    is_marked = {
        "favorite": note.is_favorite,
        "archived": note.is_archived,
        "file": bool(files),
    }
    names = tags.split(note.tags)
    prepared = terms.prepare(
        owner=note.owner_id,
        parts=(note.title, ", ".join(names), ", ".join(file.name for file in files), note.content),
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
        title_key=terms.title_key(note.title),
        terms=prepared.terms,
        words=prepared.words,
        stems=prepared.stems,
    )
