"""Tags: names by which notes can be found."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.identifiers import fold
from cloudnotes.characters import find_unusable, to_one_line
from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note

if TYPE_CHECKING:
    from accounts.callers import Caller

MAX_TAGS = 50
MAX_NAME_LENGTH, MAX_FOLDED_LENGTH = 50, 200


class InvalidTag(ValueError):
    """The text is not a tag; the message says why."""


def parse(text: str) -> str:
    """Return a tag's name normalized: NFC, no blanks at the ends, one blank between words.

    Raises :class:`InvalidTag` for an empty name, above 50 characters and for characters that names
    cannot have (``cloudnotes.characters``).
    """
    name = to_one_line(text)
    if name in ("", ".", ".."):  # clients remove dots from the tag's address
        raise InvalidTag("A tag has a name.")
    if character := find_unusable(name):
        raise InvalidTag(f"A tag cannot hold {character}, which nobody can see.")
    if len(name) > MAX_NAME_LENGTH or len(fold(name)) > MAX_FOLDED_LENGTH:
        raise InvalidTag(f"A tag has at most {MAX_NAME_LENGTH} characters.")
    return name


def join(names: Iterable[str]) -> str:
    """Return names as the text of ``Note.tags``: one per line, each once."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(fold(name), name)
    return "\n".join(first.values())


def split(names_text: str) -> list[str]:
    """Return the names in the text of ``Note.tags``."""
    return names_text.split("\n") if names_text else []


def are_same(one: str, other: str) -> bool:
    """Return whether two texts of ``Note.tags`` have the same tags, whatever their spelling."""
    return [*map(fold, split(one))] == [*map(fold, split(other))]


class TaggingManager(models.Manager["Tagging"]):
    """Queries of taggings."""

    def canonical_names(self, names: str, *, by: "Caller") -> str:
        """Return names in the spelling that the user's other visible notes have, one per line."""
        taggings = self.filter(owner_id=by.pk).order_by("note")
        if by.category:
            taggings = taggings.filter(note__in=Note.objects.visible_to(by))
        # One query per name: a query for all would read every note that has one of them.
        first = {name: taggings.filter(folded=fold(name)).first() for name in split(names)}
        return join(tagging.name if tagging else name for name, tagging in first.items())


class Tagging(models.Model):
    """A tag of a note. Follows ``Note.tags``; belongs to the note's owner, dies with the note.

    A tag has no row of its own: it exists as long as a note has it. Two names are the same tag if
    their folded forms are equal.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    note = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="taggings",
    )
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    folded = models.CharField(max_length=MAX_FOLDED_LENGTH)

    objects = TaggingManager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="owner", name="taggings_die_with_their_owner"),
            ForeignKeyConstraint(field="note", name="taggings_die_with_their_note"),
            # Also the cascade from the note.
            models.UniqueConstraint(fields=["note", "folded"], name="one_tagging_per_tag"),
        ]
        indexes = [
            # The notes that have a tag, how many there are, and the cascade from the owner.
            models.Index(fields=["owner", "folded", "note"], name="taggings_by_tag"),
        ]

    def __str__(self) -> str:
        return f"tagging {self.pk} of note {self.note_id}"
