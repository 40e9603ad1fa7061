"""What has changed for a user since a client last looked. Read-only questions about the feed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.core import signing
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.models import User
from cloudnotes.api.errors import DomainError
from cloudnotes.db.expressions import OctetLength
from notes import access
from notes.models import Change, Feed, Generation, Note, Revision
from notes.models.notes import NoteQuerySet, filed_within

SALT = "cloudnotes.sync"
PAGE_BYTES = 8 * 2**20
UNMEASURED = 20  # so many notes of the largest size are no more than a page may have anyway


class ResyncRequired(DomainError):
    """The cursor says nothing about the feed as it is now."""

    status = 410
    code = "resync_required"
    detail = (
        "This cursor is not of this feed, or of before a backup was restored. Ask without a cursor "
        "and take what comes for all there is; send what you have not sent yet after that."
    )
    field = "cursor"


@dataclass(frozen=True)
class Cursor:
    """A place in a user's feed of a generation: all up to ``seq`` is known.

    Of notes that were gone by ``start``, where the client began with nothing, it need not hear.
    ``position`` is how far the feed had come when the cursor was read; it is not written down.
    """

    generation: str
    seq: int
    start: int
    position: int


@dataclass(frozen=True)
class Page:
    """Some changes in their order, where they end, and whether there are more."""

    changes: Sequence[Change]
    end: Cursor
    has_more: bool


def read_cursor(text: str, *, user: User) -> Cursor | None:
    """Return where a cursor points to, None where its feed was not yet written so far.

    That can only be when the database was restored from a backup. Raises :class:`ResyncRequired`
    for any text that is not a cursor of this user and generation.
    """
    try:
        generation, user_id, seq, start = signing.loads(text, salt=SALT)
    except (signing.BadSignature, ValueError):
        raise ResyncRequired from None
    if user_id != user.pk or generation != get_generation():
        raise ResyncRequired
    position = Feed.objects.position(user)
    return Cursor(generation, seq, start, position) if max(seq, start) <= position else None


def begin(*, user: User) -> Cursor:
    """Return the cursor of a client that has nothing yet."""
    generation, position = get_generation(), Feed.objects.position(user)
    return Cursor(generation, 0, position, position)


def write_cursor(cursor: Cursor, *, user: User) -> str:
    """Return a cursor as clients keep it, signed."""
    return signing.dumps([cursor.generation, user.pk, cursor.seq, cursor.start], salt=SALT)


def get_generation() -> str:
    """Return the name of the generation that the database is in, '' for the first."""
    return Generation.objects.values_list("name", flat=True).first() or ""


def get_page(*, user: User, after: Cursor, limit: int) -> Page:
    """Return the changes after a cursor, each with its note as it is now, at most 8 MiB of text.

    One statement reads changes and notes, so both are of one moment. A note that changes meanwhile
    moves up to a later page and is not missed.
    """
    query = _visible(user).filter(seq__gt=after.seq).order_by("seq")
    if after.seq < after.start:
        # By the join that the page has anyway: PostgreSQL read all notes there are for an Exists.
        is_live = Q(note__version__isnull=False, note__trashed_at=None)
        query = query.filter(Q(seq__gt=after.start) | is_live)
    if limit > UNMEASURED:
        limit = _fitting(query, limit)
    rows = list(query.select_related("note")[: limit + 1])
    changes = rows[:limit]
    has_more = len(rows) > limit
    seq = changes[-1].seq if changes else after.seq
    if not has_more:
        # Past what is not for this client too: up to here all was there before the page was read.
        seq = max(seq, after.position)
    return Page(changes, replace(after, seq=seq), has_more)


def is_there(note: Note | None, user: User) -> bool:
    """Return whether a client is to have a note; otherwise its change is a tombstone."""
    return note is not None and note.trashed_at is None and access.can(user, "read", note)


def get_digest(*, user: User) -> tuple[str, int, Cursor]:
    """Return a digest of the live notes, how many they are and the place in the feed it is of.

    It is the SHA-256, in hex, of a line ``id:version`` for each note, ascending by id, each line
    ended by a line feed.
    """
    place = begin(user=user)
    position = place.start  # for an account without notes
    seq = Subquery(Feed.objects.filter(pk=user.pk).values("seq"))
    notes = Note.objects.visible_to(user).live().order_by("pk").annotate(seq=seq)
    lines = []
    for pk, version, position in notes.values_list("pk", "version", "seq"):  # noqa: B007 - all the same
        lines.append(b"%d:%d\n" % (pk, version))
    place = replace(place, seq=position, start=position)
    return hashlib.sha256(b"".join(lines)).hexdigest(), len(lines), place


def _visible(user: User) -> QuerySet[Change]:
    """Return the changes that a credential of the user may hear of.

    Through a token that is limited to a category, those of notes that lie in it, did once, or are
    gone altogether.
    """
    changes = Change.objects.filter(user=user)
    if not user.limited_to_category:
        return changes
    lies_there = Q(filed_within(user.limited_to_category))
    note = Note.objects.filter(pk=OuterRef("note_id"))
    lay_there = Revision.objects.filter(lies_there, note=OuterRef("note_id"))
    return changes.filter(Exists(note.filter(lies_there)) | Exists(lay_there) | ~Exists(note))


def fitting(notes: NoteQuerySet) -> list[int]:
    """Return the ids of those notes, by id, whose texts together make a page; one always does."""
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
    """Return how many changes, of at most ``limit``, make a page; one always does."""
    size = OctetLength(F("note__content")) + OctetLength(F("note__files"))
    sizes = rows.annotate(size=Coalesce(size, 0))
    total = 0
    for number, size in enumerate(sizes.values_list("size", flat=True)[:limit]):
        total += size
        if total > PAGE_BYTES and number > 0:
            return number
    return limit
