"""Rewrite links when a note is renamed, so that they have its new title.

This runs after the rename, when the index follows the feed, whichever action renamed the note.
Three tables take part:

1. ``Renaming``: a trigger adds a row with the old title in the transaction of the rename.
2. ``Link``: when the index has all that was written up to the rename, the links with the old title
   give the notes that contain them.
3. ``Note``: each of those is locked and written with the new title in its links. Then the rows of
   ``Renaming`` are deleted.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import PersonalAccessToken, User
from notes import events
from notes.actions.versions import ContentTooLong, NoteGone, lock, write
from notes.markdown import wikilinks
from notes.models import Change, IndexedNote, Link, Note, Renaming, SearchIndex
from notes.models.notes import filed_within
from notes.search import terms

RENAME_BATCH_SIZE = 1000  # rows of Renaming


class Renamed(NamedTuple):
    """A renamed note; links still have its old title, whose key is ``old``.

    ``title`` is the text for the links, '' if the title is not unique and they have to use the
    note's number. Links are rewritten only in notes of the category ``within``: '' for all notes,
    None for no note.
    """

    note_id: int
    old: str
    title: str
    within: str | None


class _Row(NamedTuple):
    """What a row of ``Renaming`` says, and its note; ``pk`` is None for an earlier release's."""

    pk: int | None
    note_id: int
    old: str
    title: str
    credential: str
    is_live: bool


def follow_renames(*, owner: User, until: float) -> None:
    """Write the current titles of renamed notes into the notes that link to them.

    Each of these is written once, as by the owner, in a transaction of its own, so that other
    writers wait for one note only. Stops at ``until``, a time of the monotonic clock; the next call
    does the rest. A note that would become too long keeps its old links.
    """
    rows = _read(owner)
    renamed = _renamed(owner, rows)
    targets = {each.old: each for each in renamed}
    keys = [each.old for each in renamed if each.within is not None]
    sources = Link.objects.filter(owner_id=owner.pk, title_key__in=keys).values("source")
    for note in Note.objects.filter(owner=owner, pk__in=sources).defer("content").order_by("pk"):
        if time.monotonic() > until:
            return
        _retitle(note, targets, by=Caller(owner))
    with transaction.atomic():
        SearchIndex.objects.select_for_update().filter(pk=owner.pk).first()
        # A note that was renamed once more meanwhile keeps its rows: the index may not have the
        # links yet that were just written.
        titles = dict(
            Note.objects.filter(pk__in={row.note_id for row in rows}).values_list("pk", "title")
        )
        done = [row for row in rows if titles.get(row.note_id) == row.title]
        Renaming.objects.filter(pk__in=[row.pk for row in done]).delete()
        legacy = IndexedNote.objects.filter(owner_id=owner.pk, renamed_from__isnull=False)
        legacy.filter(pk__in=[row.note_id for row in done]).update(renamed_from=None)


def _read(owner: User) -> list[_Row]:
    """Return the rows of ``Renaming`` that can be followed.

    Those can be followed of which the index has the rename, and so all links that were written
    before it.
    """
    indexed = SearchIndex.objects.filter(pk=owner.pk).values("seq")
    later = Change.objects.filter(user=owner, note=OuterRef("note"), seq__gt=indexed)
    renamings = Renaming.objects.filter(~Exists(later), owner_id=owner.pk).order_by("pk")
    columns = ("pk", "note_id", "title", "note__title", "credential", "note__trashed_at")
    rows = [
        _Row(pk, note_id, terms.title_key(old), title, credential, trashed_at is None)
        for pk, note_id, old, title, credential, trashed_at in renamings.values_list(*columns)[
            :RENAME_BATCH_SIZE
        ]
    ]
    legacy = IndexedNote.objects.filter(owner_id=owner.pk, renamed_from__isnull=False)
    legacy_columns = ("renamed_from", "note__title", "note__state_credential", "note__trashed_at")
    return rows + [
        _Row(None, note_id, old or "", title, credential, trashed_at is None)
        for note_id, old, title, credential, trashed_at in legacy.values_list("pk", *legacy_columns)
    ]


def _renamed(owner: User, rows: Iterable[_Row]) -> list[Renamed]:
    """Return the old titles by which links meant the renamed notes.

    A title means its oldest note that is not in the trash.
    """
    last = {(row.note_id, row.old): row for row in rows}.values()
    had = defaultdict(set)  # the renamed notes of an old title
    for row in last:
        had[row.old].add(row.note_id)
    titles = {*had, *(terms.title_key(row.title) for row in last)}
    have = defaultdict(set)  # the notes of a title today
    live = IndexedNote.objects.filter(owner_id=owner.pk, note__trashed_at=None)
    for key, pk in live.filter(title_key__in=titles).values_list("title_key", "pk"):
        have[key].add(pk)
    live_ids = {row.note_id for row in last if row.is_live}
    renamed_ids = {row.note_id for row in last}
    renamed = []
    for _, note_id, old, title, credential, _ in last:
        new = terms.title_key(title)
        older = {*(have[old] - renamed_ids), *(had[old] & live_ids)}
        if old in ("", new) or any(pk < note_id for pk in older):
            continue
        # Not if the title means an older note, or is the old title of another renamed note.
        is_sure = not had[new] - {note_id} and not any(pk < note_id for pk in have[new])
        within = _writable_category(credential)
        renamed.append(Renamed(note_id, old, title if is_sure else "", within))
    return renamed


def _writable_category(credential: str) -> str | None:
    """Return the category that a credential may write in: '' for all, None if it was deleted."""
    kind, _, number = credential.partition(" ")
    if kind != "token":
        return ""
    tokens = PersonalAccessToken.objects.filter(pk=int(number))
    return tokens.values_list("category", flat=True).first()


def _retitle(source: Note, targets: dict[str, Renamed], *, by: Caller) -> None:
    try:
        with transaction.atomic():
            note = lock(source, even_trashed=True)
            inside = Note.objects.filter(pk=note.pk)
            reached = {
                key: each
                for key, each in targets.items()
                if each.within is not None and inside.filter(filed_within(each.within)).exists()
            }
            content = wikilinks.retitle(
                note.content, _replacer(reached), means=_meanings(note.content, by)
            )
            changes, now = {"content": content}, timezone.now()
            if write(note, changes, by=by, cause=Note.Cause.EDIT, now=now):
                events.record("note_updated", note=note, by=by)
    except (NoteGone, ContentTooLong):
        return


def _replacer(reached: dict[str, Renamed]) -> Callable[[str], tuple[str, str] | None]:
    def replacement(title: str) -> tuple[str, str] | None:
        each = reached.get(terms.title_key(title))
        return (each.title, f"/api/v1/notes/{each.note_id}") if each else None

    return replacement


def _meanings(content: str, by: Caller) -> Callable[[str], bool]:
    """Return whether a title of a link means a note, for the links that have several readings."""
    links = wikilinks.find(content)
    readings = [each for link in links if len(link.readings) > 1 for each in link.readings]
    keys = {each.title: terms.title_key(each.title) for each in readings}
    rows = IndexedNote.objects.filter(owner_id=by.pk, note__trashed_at=None)
    known = {*rows.filter(title_key__in={*keys.values()}).values_list("title_key", flat=True)}
    return lambda title: keys.get(title) in known
