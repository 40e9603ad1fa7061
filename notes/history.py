"""What notes said before. Read-only questions about revisions."""

import datetime as dt
from collections.abc import Sequence

from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.models import User
from notes import access
from notes.models import Note, Revision
from notes.models.fields import VERSIONED
from notes.models.notes import NoteQuerySet, filed_within


def get_state(note: Note, version: int, *, user: User) -> Revision | None:
    """Return what a note said in a version; not saved, and not replaced, if it still says it.

    None when that state was thinned out, was coalesced, never was, or is not for the user: a note
    that lies in a token's category now may have lain elsewhere then.
    """
    if note.state_version <= version <= note.version:
        state: Revision | None = Revision.of(note)
    else:
        at_version = Revision.objects.filter(
            note=note, first_version__lte=version, version__gte=version
        )
        state = at_version.order_by("version").first()
    return state if state and access.may_see_state(user, note, state) else None


def as_of(notes: NoteQuerySet, time: dt.datetime, category: str = "") -> NoteQuerySet:
    """Return those of ``notes`` that were there at a time, with what :func:`rewound` needs.

    Those that lay in the trash then, were not yet written, were deleted for good since or lay
    outside of ``category`` are not among them. ``content_then`` is an alias.
    """
    past = with_past(notes, time)
    state = Revision.objects.filter(pk=OuterRef("then"))
    live = Q(then=None, trashed_at=None) | Q(Exists(state.filter(trashed_at=None)))
    if category:
        lay_there = Exists(state.filter(filed_within(category)))
        live &= Q(filed_within(category), then=None) | Q(lay_there)
    content = Coalesce(Subquery(state.values("content")[:1]), F("content"))
    return past.filter(live, created_at__lte=time).alias(content_then=content)


def with_past(notes: NoteQuerySet, time: dt.datetime) -> NoteQuerySet:
    """Annotate notes with ``then``, the id of the revision that was the state at a time.

    None is the state that the note is in still. Of a time whose states were thinned out it is the
    last one before, or the first there is.
    """
    revisions = Revision.objects.filter(note=OuterRef("pk"))
    before = revisions.filter(since__lte=time).order_by("-since", "-version")
    then = Coalesce(
        Subquery(before.values("pk")[:1]), Subquery(revisions.order_by("version").values("pk")[:1])
    )
    return notes.annotate(then=Case(When(state_since__lte=time, then=Value(None)), default=then))


def differing(
    notes: NoteQuerySet, time: dt.datetime, *, category: str = "", limit: str = ""
) -> NoteQuerySet:
    """Return, with what :func:`with_past` adds, the notes that are not as they were at a time.

    Of those that lie in ``category`` or below it now or did then, and lay in ``limit`` then.
    """
    state = Revision.objects.filter(pk=OuterRef("then"))
    same = Exists(
        state.filter(**{name: OuterRef(name) for name in VERSIONED if name != "trashed_at"})
    )
    stays = Q(trashed_at=None, in_trash=False) | Q(trashed_at__isnull=False, in_trash=True)
    was_written = Q(created_at__lte=time)
    rows = (
        with_past(notes, time)
        .alias(in_trash=Exists(state.filter(trashed_at__isnull=False)))
        .filter(
            was_written & Q(then__isnull=False) & ~(Q(same) & stays)
            | ~was_written & Q(trashed_at=None)
        )
    )
    if limit:
        rows = rows.filter(~was_written | Q(Exists(state.filter(filed_within(limit)))))
    if category:
        lay_there = Q(Exists(state.filter(filed_within(category))))
        rows = rows.filter(filed_within(category) | was_written & lay_there)
    return rows


def get_past(notes: Sequence[Note], *, without_content: bool = False) -> dict[int, Revision]:
    """Return by note the revisions that :func:`with_past` has found, one query for all."""
    ids = [note.then for note in notes if note.then is not None]  # type: ignore[attr-defined]
    revisions = Revision.objects.filter(pk__in=ids)
    if without_content:
        revisions = revisions.defer("content")
    return {revision.note_id: revision for revision in revisions}


def rewound(notes: Sequence[Note]) -> Sequence[Note]:
    """Return notes as they were at the time of :func:`as_of`, not to be saved."""
    past = get_past(notes)
    for note in notes:
        if revision := past.get(note.pk):
            for name in (*VERSIONED, "version"):
                setattr(note, name, getattr(revision, name))
            note.updated_at = revision.since
    return notes
