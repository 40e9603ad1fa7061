"""Rewrite links when a note is renamed, so that they have its new title.

This runs after the rename, when the index follows the feed, whichever action renamed the note.
Three tables take part:

1. ``IndexedNote``: indexing a note whose title changed sets ``renamed_from`` to the key of the old
   title (``notes.actions.indexing``).
2. ``Link``: for each such note, the links with that key give the notes that contain them.
3. ``Note``: each of those is locked and written with the new title in its links. Then
   ``renamed_from`` is set back to NULL, or to the key that was just written if the note was renamed
   again meanwhile.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import PersonalAccessToken, User
from notes import events
from notes.actions.versions import ContentTooLong, NoteGone, lock, write
from notes.markdown import wikilinks
from notes.models import IndexedNote, Link, Note, SearchIndex
from notes.models.notes import filed_within
from notes.search import terms

RENAME_BATCH_SIZE = 100  # renamed notes


class Renamed(NamedTuple):
    """A renamed note; links still have its old title. ``old`` and ``new`` are keys of titles.

    ``title`` is the text for the links, '' if the title is not unique and they have to use the
    note's number. Links are rewritten only in notes of the category ``within``: '' for all notes,
    None for no note.
    """

    note_id: int
    old: str
    new: str
    title: str
    within: str | None


def follow_renames(*, owner: User, until: float) -> None:
    """Write the current titles of renamed notes into the notes that link to them.

    Each of these is written once, as by the owner, in a transaction of its own, so that other
    writers wait for one note only. Stops at ``until``, a time of the monotonic clock; the next call
    does the rest. A note that would become too long keeps its old links.
    """
    renamed = _renamed(owner)
    targets = {each.old: each for each in renamed if _is_meant(owner, each)}
    keys = [each.old for each in targets.values() if each.within is not None]
    sources = Link.objects.filter(owner_id=owner.pk, title_key__in=keys).values("source")
    for note in Note.objects.filter(owner=owner, pk__in=sources).defer("content").order_by("pk"):
        if time.monotonic() > until:
            return
        _retitle(note, targets, by=Caller(owner))
    with transaction.atomic():
        SearchIndex.objects.select_for_update().filter(pk=owner.pk).first()
        for each in renamed:
            row = IndexedNote.objects.filter(pk=each.note_id)
            row.filter(title_key=each.new).update(renamed_from=None)
            # Renamed again meanwhile: the links now have the title that was just written.
            row.exclude(title_key=each.new).update(renamed_from=each.new or None)


def _renamed(owner: User) -> list[Renamed]:
    query = IndexedNote.objects.filter(owner_id=owner.pk, renamed_from__isnull=False)
    columns = ("pk", "renamed_from", "title_key", "note__title", "note__state_credential")
    rows = list(query.order_by("pk").values_list(*columns)[:RENAME_BATCH_SIZE])
    old_keys = {old for _, old, *_ in rows}
    renamed = []
    for pk, old, new, title, credential in rows:
        live = IndexedNote.objects.filter(owner_id=owner.pk, title_key=new, note__trashed_at=None)
        # Not if the title means an older note, or is the old title of another renamed note.
        is_sure = new not in old_keys and not live.filter(pk__lt=pk).exists()
        renamed.append(
            Renamed(pk, old or "", new, title if is_sure else "", _writable_category(credential))
        )
    return renamed


def _writable_category(credential: str) -> str | None:
    """Return the category that a credential may write in: '' for all, None if it was deleted."""
    kind, _, number = credential.partition(" ")
    if kind != "token":
        return ""
    tokens = PersonalAccessToken.objects.filter(pk=int(number))
    return tokens.values_list("category", flat=True).first()


def _is_meant(owner: User, renamed: Renamed) -> bool:
    """Return whether links with the old title meant this note; a title means its oldest note."""
    older = IndexedNote.objects.filter(
        owner_id=owner.pk, pk__lt=renamed.note_id, note__trashed_at=None
    )
    still_so = older.filter(title_key=renamed.old, renamed_from=None)
    return not (still_so.exists() or older.filter(renamed_from=renamed.old).exists())


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
            content = wikilinks.retitle(note.content, _replacer(reached))
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
