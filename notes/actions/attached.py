"""Attachments, which follow what notes keep of their files."""

from notes.models import Attachment, Note
from notes.models import attachments as files


def follow(note: Note) -> None:
    """Have the attachments of a locked note be those that it says.

    One that comes back from the history comes with the id that it had, so that links to it hold.
    """
    rows = [
        Attachment(pk=file.id, note=note, object_id=file.object) for file in files.split(note.files)
    ]
    Attachment.objects.filter(note=note).exclude(pk__in=[row.pk for row in rows]).delete()
    Attachment.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=["object"]
    )
