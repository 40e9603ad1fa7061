"""Pages of the change feed for a client: what changed since its cursor. Nothing is written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.core import signing
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.callers import Caller
from cloudnotes.api.errors import DomainError
from cloudnotes.db.expressions import OctetLength
from notes import access
from notes.models import Change, Feed, Generation, Note, Revision
from notes.models.notes import NoteQuerySet, filed_within

SALT = "cloudnotes.sync"
PAGE_BYTES = 8 * 2**20
UNMEASURED = 20  # notes; even of the largest size they are no more than a page may have anyway


class ResyncRequired(DomainError):
    """The cursor does not belong to the feed as it is now."""

    status = 410
    code = "resync_required"
    detail = (
        "This cursor is not of this feed, or of before a backup was restored. Ask without a cursor "
        "and take what comes for all there is; send what you have not sent yet after that."
    )
    field = "cursor"


@dataclass(frozen=True)
class Cursor:
    """A place in a user's feed of a generation: the client has all changes up to ``seq``.

    At ``start`` the client began with nothing, so it needs no tombstones of notes that were deleted
    until then. ``position`` is the end of the feed when the cursor was read; it is not part of the
    signed text.
    """

    generation: str
    seq: int
    start: int
    position: int


@dataclass(frozen=True)
class Page:
    """Some changes in their order, the cursor after them, and whether there are more."""

    changes: Sequence[Change]
    end: Cursor
    has_more: bool


def read_cursor(text: str, *, caller: Caller) -> Cursor | None:
    """Return a cursor, None if it points beyond the end of the feed.

    That happens only after the database was restored from a backup. Raises :class:`ResyncRequired`
    for any text that is not a cursor of this user and generation.
    """
    try:
        generation, user_id, seq, start = signing.loads(text, salt=SALT)
    except (signing.BadSignature, ValueError):
        raise ResyncRequired from None
    if user_id != caller.pk or generation != get_generation():
        raise ResyncRequired
    position = Feed.objects.position(caller)
    return Cursor(generation, seq, start, position) if max(seq, start) <= position else None


def begin(*, caller: Caller) -> Cursor:
    """Return the first cursor of a client that has no notes yet."""
    generation, position = get_generation(), Feed.objects.position(caller)
    return Cursor(generation, 0, position, position)


def write_cursor(cursor: Cursor, *, caller: Caller) -> str:
    """Return a cursor as signed text for clients."""
    return signing.dumps([cursor.generation, caller.pk, cursor.seq, cursor.start], salt=SALT)


def get_generation() -> str:
    """Return the name of the database's current generation, '' for the first one."""
    return Generation.objects.values_list("name", flat=True).first() or ""


def get_page(*, caller: Caller, after: Cursor, limit: int) -> Page:
    """Return the changes after a cursor, each with its note as it is now, at most 8 MiB of text.

    One statement reads changes and notes, so both are of one moment. A note that changes meanwhile
    moves to the end of the feed, so a later page has it.
    """
    query = _visible(caller).filter(seq__gt=after.seq).order_by("seq")
    if after.seq < after.start:
        # By the join that the page has anyway: for an Exists, PostgreSQL read all notes.
        is_live = Q(note__version__isnull=False, note__trashed_at=None)
        query = query.filter(Q(seq__gt=after.start) | is_live)
    if limit > UNMEASURED:
        limit = _fitting(query, limit)
    rows = list(query.select_related("note")[: limit + 1])
    changes = rows[:limit]
    has_more = len(rows) > limit
    seq = changes[-1].seq if changes else after.seq
    if not has_more:
        # Also past changes that this client may not see: all of them were there before the read.
        seq = max(seq, after.position)
    return Page(changes, replace(after, seq=seq), has_more)


def is_there(note: Note | None, caller: Caller) -> bool:
    """Return whether a client gets the note; otherwise its change is a tombstone."""
    return note is not None and note.trashed_at is None and access.can(caller, "read", note)


def get_digest(*, caller: Caller) -> tuple[str, int, Cursor]:
    """Return a digest of the live notes, their number and the place in the feed of that moment.

    The digest is the SHA-256, in hex, of one line ``id:version`` per note, ascending by id, each
    ended by a line feed.
    """
    place = begin(caller=caller)
    position = place.start  # for an account without notes
    seq = Subquery(Feed.objects.filter(pk=caller.pk).values("seq"))
    notes = Note.objects.visible_to(caller).live().order_by("pk").annotate(seq=seq)
    lines = []
    for pk, version, position in notes.values_list("pk", "version", "seq"):  # noqa: B007 - all the same
        lines.append(b"%d:%d\n" % (pk, version))
    place = replace(place, seq=position, start=position)
    return hashlib.sha256(b"".join(lines)).hexdigest(), len(lines), place


def _visible(caller: Caller) -> QuerySet[Change]:
    """Return the changes that the user's credential may see.

    For a token that is limited to a category: the changes of notes that are in it, were in it once,
    or do not exist any more.
    """
    changes = Change.objects.filter(user_id=caller.pk)
    if not caller.category:
        return changes
    lies_there = Q(filed_within(caller.category))
    note = Note.objects.filter(pk=OuterRef("note_id"))
    lay_there = Revision.objects.filter(lies_there, note=OuterRef("note_id"))
    return changes.filter(Exists(note.filter(lies_there)) | Exists(lay_there) | ~Exists(note))


def fitting(notes: NoteQuerySet) -> list[int]:
    """Return the ids, ascending, of the first notes whose texts fit into a page; at least one."""
    size = OctetLength(F("content")) + OctetLength(F("files"))
    sizes = notes.order_by("pk").values_list("pk", size)
    ids: list[int] = []
    total = 0
    for pk, size in sizes:
        total += size
        if total <= PAGE_BYTES or not ids:
            ids.append(pk)
    return ids


def _fitting(rows: QuerySet[Change], limit: int) -> int:
    """Return how many of at most ``limit`` changes fit into a page; at least one."""
    size = OctetLength(F("note__content")) + OctetLength(F("note__files"))
    sizes = rows.annotate(size=Coalesce(size, 0))
    total = 0
    for number, size in enumerate(sizes.values_list("size", flat=True)[:limit]):
        total += size
        if total > PAGE_BYTES and number > 0:
            return number
    return limit
