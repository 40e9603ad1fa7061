"""Keeping links right: a note that gets another title is called so where others link to it.

It happens behind the rename, as the index follows the feed, whatever has renamed the note.
"""

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from notes import events, links
from notes.actions.versions import ContentTooLong, NoteGone, lock, write
from notes.models import IndexedNote, Link, Note
from notes.search import terms

AT_ONCE = 20  # renamed notes


def follow_renames(owner: User) -> None:
    """Write the present titles of renamed notes into the notes that link to them.

    Each is a write of its own, in the history as by the owner, and made once however often this is
    begun. A note that would become too long keeps its link.
    """
    renamed = IndexedNote.objects.filter(owner_id=owner.pk, renamed_from__isnull=False)
    for note_id, old, new in list(
        renamed.order_by("pk").values_list("pk", "renamed_from", "title_key")[:AT_ONCE]
    ):
        title = Note.objects.filter(pk=note_id).values_list("title", flat=True).first()
        if title is not None and old and old != new and _was_meant(owner, note_id, old):
            sources = Link.objects.filter(owner_id=owner.pk, title_key=old)
            for source in sources.order_by("source").values_list("source", flat=True):
                _retitle(source, old=old, title=title, note_id=note_id, by=owner)
        IndexedNote.objects.filter(pk=note_id, renamed_from=old).update(renamed_from=None)


def _was_meant(owner: User, note_id: int, key: str) -> bool:
    """Return whether links by a title meant this note: of several the oldest is meant."""
    others = IndexedNote.objects.filter(owner_id=owner.pk, title_key=key, pk__lt=note_id)
    return not others.exists()


def _retitle(source: int, *, old: str, title: str, note_id: int, by: User) -> None:
    # In a transaction of its own: who waits for one of the notes does not wait for all.
    try:
        with transaction.atomic():
            note = lock(Note(pk=source, version=0))
            content = links.retitle(
                note.content,
                lambda each: terms.title_key(each) == old,
                title,
                f"/api/v1/notes/{note_id}",
            )
            changes, now = {"content": content}, timezone.now()
            if write(note, changes, by=by, cause=Note.Cause.EDIT, now=now):
                events.record("note_updated", note=note, by=by)
    except (NoteGone, ContentTooLong):
        return
