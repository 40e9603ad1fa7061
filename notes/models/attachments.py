"""Attachments: the files of notes."""

import functools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from django.db import models

from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.files.models import StoredObject
from notes.models.notes import Note

MAX_FILES = 100  # of a note


@dataclass(frozen=True)
class File:
    """A file in the ``files`` of a note: ``id`` of its attachment, ``object`` of its stored object.

    ``size`` is in bytes, ``sha256`` in hex; ``width`` and ``height`` are in pixels, for images.
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
    """Return files as the text of ``Note.files``: JSON, ``''`` for no files."""
    items = [{name: value for name, value in asdict(file).items() if value} for file in files]
    # A trigger reads this text too: it makes the rows of KeptFile for a revision.
    return json.dumps(items, ensure_ascii=False, separators=(",", ":")) if items else ""


@functools.lru_cache(maxsize=128)
def split(text: str) -> tuple[File, ...]:
    """Return the files in the text of ``Note.files``, in the order in which they were added."""
    return tuple(File(**{"size": 0, **item}) for item in json.loads(text)) if text else ()


def main(text: str) -> File | None:
    """Return the main file in the text of ``Note.files``, None if there is none."""
    return next((file for file in split(text) if file.is_main), None)


class Attachment(models.Model):
    """A file that a note has now: its id, and the reference to its object. Dies with the note.

    Everything else about the file is in the note (:class:`File`), so that history, feed and lists
    have it without a join. Only ready objects are attached.
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
    """A revision's reference to the object of one of its files. Dies with the revision.

    A trigger of the database writes it, whichever code makes the revision. As long as it exists,
    the object is not deleted.
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
