"""Keep the search index up to date by reading its owner's change feed.

Writes do not touch the index. Each account has a row ``SearchIndex`` with ``seq``, the last number
of the feed that is indexed. A search first indexes the changes after ``seq``, for at most
``REQUEST_SECONDS``; the worker does the same for all accounts every few seconds. So a note that is
saved ten times while somebody types is indexed once or twice, and no write waits for the index. No
change is missed, because the feed has every change (see ``notes.models.Feed``).

One batch (:func:`_index_some`) reads the next changes and prepares their notes without a lock. Then
it locks the row ``SearchIndex``. If another process has moved ``seq`` meanwhile, the batch is
dropped; otherwise its rows are written and ``seq`` moves on. When the feed has no more changes,
``notes.actions.links`` rewrites the links to renamed notes. If ``made``, the language of the word
forms and the format of the terms, is not the current one, indexing starts again from 0.
"""

import time
from collections.abc import Iterator

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from accounts.callers import Caller
from accounts.models import User
from cloudnotes.api.location import is_own
from cloudnotes.db.expressions import OctetLength
from notes.actions import links
from notes.markdown import wikilinks
from notes.models import (
    Change,
    Feed,
    IndexedNote,
    Link,
    Note,
    Renaming,
    SearchIndex,
    attachments,
    tags,
)
from notes.models.links import MAX_LONGER_TITLES
from notes.search import terms

INDEX_BATCH_SIZE = 100  # notes
MAX_BYTES = 2 * 2**20
USER_BATCH_SIZE = 20
REQUEST_SECONDS, WORKER_SECONDS = 1.0, 5.0
REPLACED = ("edited_at", "title_key", "terms", "words", "stems")


def catch_up(*, caller: Caller, seconds: float = REQUEST_SECONDS) -> int:
    """Index the changes since the last time; return how many changes are not indexed yet.

    Ends at the end of the feed, after ``seconds``, or when the database is too busy.
    """
    deadline = time.monotonic() + seconds
    try:
        while is_behind(caller):
            if time.monotonic() > deadline:
                return left(caller)
            # Read again: the language may have changed.
            owner = User.objects.get(pk=caller.pk)
            if not _index_some(owner):
                links.follow_renames(owner=owner, until=deadline)
    except Error:  # a search reports how many changes it misses; the worker retries
        return left(caller)
    except ObjectDoesNotExist:  # the account was deleted meanwhile
        pass
    return 0


def is_behind(caller: Caller) -> bool:
    """Return whether there are changes that are not indexed yet."""
    return behind().filter(pk=caller.pk).exists()


def left(caller: Caller) -> int:
    """Return how many changes that a user may know of are not indexed yet."""
    index = SearchIndex.objects.filter(pk=caller.pk, made=_made(caller.user.language)).first()
    changes = Change.objects.filter(user_id=caller.pk, seq__gt=index.seq if index else 0)
    if caller.category:
        changes = changes.filter(note__in=Note.objects.visible_to(caller))
    return changes.count()


def index_due() -> bool:
    """Index the changes of some accounts; a worker's job.

    Returns whether there may be more. Accounts are chosen at random, so that one that cannot be
    indexed does not block the others.
    """
    users = list(User.objects.filter(pk__in=behind().order_by("?").values("pk")[:USER_BATCH_SIZE]))
    done = [catch_up(caller=Caller(user), seconds=WORKER_SECONDS) == 0 for user in users]
    return any(done) and (len(users) == USER_BATCH_SIZE or not all(done))


def behind() -> QuerySet[Feed]:
    """Return the feeds with changes that are not indexed, or with renames not yet in the links."""
    index = SearchIndex.objects.filter(pk=OuterRef("pk"))
    current = Concat(F("user__language"), Value(f"/{terms.FORMAT}"))
    feeds = Feed.objects.filter(seq__gt=0).annotate(
        made=Subquery(index.values("made")), indexed=Subquery(index.values("seq"))
    )
    renamings = Renaming.objects.filter(owner_id=OuterRef("pk"))
    renamed = IndexedNote.objects.filter(owner_id=OuterRef("pk"), renamed_from__isnull=False)
    is_renamed = Exists(renamings) | Exists(renamed)
    return feeds.filter(Q(made=None) | ~Q(made=current) | Q(indexed__lt=F("seq")) | is_renamed)


def _made(language: str) -> str:
    return f"{language}/{terms.FORMAT}"


def _index_some(user: User) -> bool:
    """Index the next changes of a user's feed and return whether there were any.

    Notes are read and prepared without a lock. If another process indexed meanwhile, nothing is
    written.
    """
    made = _made(user.language)
    index = SearchIndex.objects.filter(pk=user.pk).first() or SearchIndex(user=user)
    start = index.seq if index.made == made else 0
    changes = Change.objects.filter(user=user, seq__gt=start).order_by("seq")
    ids: list[int] = []
    end, size = start, 0
    # A deleted note has no size; its change only moves ``seq``.
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
        # In the order of ids, as all writers do, and without notes that were deleted meanwhile: a
        # delete locks the note first and then waits for the note's row in the index.
        query = Note.objects.select_for_update(no_key=True).filter(pk__in=prepared).order_by("pk")
        rows = [prepared[pk] for pk in query.values_list("pk", flat=True)]
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


def _links(note: Note) -> list[Link]:
    rows = dict.fromkeys(
        row for link in wikilinks.find(note.content, is_own=is_own) for row in _targets(link)
    )
    about = {"source": note, "owner_id": note.owner_id}
    return [Link(**about, title_key=key, target_id=pk, unless=longer) for key, pk, longer in rows]


def _targets(link: wikilinks.Link) -> Iterator[tuple[str, int | None, str]]:
    """Yield ``title_key``, ``target_id`` and ``unless`` of the rows of a link."""
    if link.note_id is not None:
        yield "", link.note_id, ""
    longer: list[str] = []
    for reading in link.readings:
        key = terms.title_key(reading.title)
        if key not in longer:
            yield key, None, "".join(longer[:MAX_LONGER_TITLES])
            longer.append(key)


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
        title=note.title,
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
