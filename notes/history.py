"""Earlier states of notes. Queries of revisions; nothing is written."""

import datetime as dt
from collections.abc import Sequence

from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.callers import Caller
from notes import access
from notes.models import Note, Revision
from notes.models.fields import VERSIONED
from notes.models.notes import NoteQuerySet, filed_within


def get_state(note: Note, version: int, *, caller: Caller) -> Revision | None:
    """Return the state of a note in a version; for the current state an unsaved revision.

    None if that state was thinned out, was coalesced, never existed or is not visible to the user:
    a note that is in a token's category now may have been in another one then.
    """
    if note.state_version <= version <= note.version:
        state: Revision | None = Revision.of(note)
    else:
        at_version = Revision.objects.filter(
            note=note, first_version__lte=version, version__gte=version
        )
        state = at_version.order_by("version").first()
    return state if state and access.may_see_state(caller, note, state) else None


def as_of(notes: NoteQuerySet, time: dt.datetime, category: str = "") -> NoteQuerySet:
    """Return those of ``notes`` that were live at a time, with what :func:`rewound` needs.

    Left out are notes that were in the trash then, did not exist yet, were deleted for good since,
    or were outside of ``category``. ``content_then`` is an alias for their content at that time.
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

    None if the current state began at or before that time. If the state of that time was thinned
    out, it is the last one before it, or the first one that exists.
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
    """Return the notes that are not as they were at a time, with ``then`` of :func:`with_past`.

    With a ``category``, only notes that are in it or below it now, or were then. With a ``limit``,
    only notes that were in that category then, and notes that did not exist then.

    A note differs if one of these is true::

        was_written & then is set & ~(same & stays)    it existed, and fields or trash changed
        ~was_written & it is live                      it did not exist; a rewind trashes it

    ``same`` says that the revision ``then`` has the note's values in all versioned fields except
    ``trashed_at``; ``stays``, that the note was in the trash at that time and is now, or was not
    and is not. Examples, for noon::

        created at 1 pm, live now                      differs
        created at 1 pm, in the trash now              does not differ
        created at 9 am, last written at 10 am         does not differ: ``then`` is None
        created at 9 am, title changed at 1 pm         differs: not same
        title changed at 1 pm, changed back at 2 pm    does not differ: same & stays
        moved to the trash at 1 pm                     differs: same, but not stays
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
    """Return the revisions ``then`` of :func:`with_past` by note, with one query for all."""
    ids = [note.then for note in notes if note.then is not None]  # type: ignore[attr-defined]
    revisions = Revision.objects.filter(pk__in=ids)
    if without_content:
        revisions = revisions.defer("content")
    return {revision.note_id: revision for revision in revisions}


def rewound(notes: Sequence[Note]) -> Sequence[Note]:
    """Return notes as they were at the time of :func:`as_of`; they must not be saved."""
    past = get_past(notes)
    for note in notes:
        if revision := past.get(note.pk):
            for name in (*VERSIONED, "version"):
                setattr(note, name, getattr(revision, name))
            note.updated_at = revision.since
    return notes
