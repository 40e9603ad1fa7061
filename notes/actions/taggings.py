"""Rows of ``Tagging``: they follow the column ``tags`` of their notes."""

from collections.abc import Sequence

from accounts.identifiers import fold
from notes.models import Note, Tagging, tags


def sync_rows(ids: Sequence[int]) -> None:
    """Make the taggings of locked notes match their ``tags``; for at most some thousand notes."""
    Tagging.objects.filter(note__in=ids).delete()
    notes = Note.objects.filter(pk__in=ids).order_by("pk")
    Tagging.objects.bulk_create(
        Tagging(note_id=pk, owner_id=owner, name=name, folded=fold(name))
        for pk, owner, names in notes.values_list("pk", "owner", "tags")
        for name in tags.split(names)
    )
