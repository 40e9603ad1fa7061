"""Attachments: the files of notes."""

import functools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from django.db import models

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note
from notes.models.objects import StoredObject

MAX_FILES = 100  # of a note


@dataclass(frozen=True)
class File:
    """A file as its note keeps it: ``id`` is its attachment's, ``object`` its stored object's.

    ``size`` is in bytes, ``sha256`` in hex; ``width`` and ``height``, in pixels, are of images.
    """

    id: int
    object: int
    name: str
    size: int
    content_type: str
    sha256: str
    width: int | None = None
    height: int | None = None
    is_main: bool = False

    @property
    def is_image(self) -> bool:
        return self.width is not None


def join(files: Iterable[File]) -> str:
    """Return the text that a note keeps of its files: JSON, ``''`` of none."""
    items = [{name: value for name, value in asdict(file).items() if value} for file in files]
    # Read again by the trigger that has revisions hold the objects of their files.
    return json.dumps(items, ensure_ascii=False, separators=(",", ":")) if items else ""


@functools.lru_cache(maxsize=128)
def split(text: str) -> tuple[File, ...]:
    """Return the files that a note keeps, in the order in which they were added."""
    return tuple(File(**{"size": 0, **item}) for item in json.loads(text)) if text else ()


def main(text: str) -> File | None:
    """Return the main one of the files that a note keeps, if there is one."""
    return next((file for file in split(text) if file.is_main), None)


class Attachment(models.Model):
    """A file that a note has now: gives it its id, and holds its object. Dies with the note.

    All else about it is kept by the note (:class:`File`), so that history, feed and lists have it
    as they have the text. Only a ready object is ever attached.
    """

    note = models.ForeignKey(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attachments"
    )
    object = models.ForeignKey(
        StoredObject, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attachments"
    )

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="note", name="attachments_die_with_their_note"),
            ForeignKeyConstraint(
                field="object", on_delete="NO ACTION", name="attached_objects_stay"
            ),
        ]

    def __str__(self) -> str:
        return f"attachment {self.pk} of note {self.note_id}"


class KeptFile(models.Model):
    """A revision's hold on the object of a file that it mentions. Dies with the revision.

    Written by a trigger of the database, whichever way the revision is made.
    """

    revision = models.ForeignKey(
        "notes.Revision",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # one_hold_per_object begins with it
        related_name="kept_files",
    )
    object = models.ForeignKey(
        StoredObject, on_delete=models.DO_NOTHING, db_constraint=False, related_name="kept_files"
    )

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="revision", name="kept_files_die_with_their_revision"),
            ForeignKeyConstraint(field="object", on_delete="NO ACTION", name="kept_objects_stay"),
            models.UniqueConstraint(fields=["revision", "object"], name="one_hold_per_object"),
        ]

    def __str__(self) -> str:
        return f"object {self.object_id} of revision {self.revision_id}"
