"""Attachments, which follow what notes keep of their files."""

from notes import quotas
from notes.models import Attachment, Note, StoredObject
from notes.models import attachments as files


def lock_objects(note: Note, kept: str) -> str:
    """Return ``kept``, what a locked note shall say of its files, without those that are gone.

    The objects that come to the note are locked, so that none goes before it is attached; with the
    quota first, as whoever stores a file does.
    """
    wanted = files.split(kept)
    has = {file.object for file in files.split(note.files)}
    coming = {file.object for file in wanted} - has
    if not coming:
        return kept
    quotas.lock(note.owner_id)
    ready = StoredObject.objects.filter(pk__in=coming, state=StoredObject.State.READY)
    has |= set(ready.select_for_update().order_by("pk").values_list("pk", flat=True))
    return files.join(file for file in wanted if file.object in has)


def sync_rows(note: Note) -> None:
    """Have the attachments of a locked note be those that it says, whose objects are held.

    One that comes back from the history comes with the id that it had, so that links to it hold.
    """
    rows = [
        Attachment(pk=file.id, note=note, object_id=file.object) for file in files.split(note.files)
    ]
    Attachment.objects.filter(note=note).exclude(pk__in=[row.pk for row in rows]).delete()
    Attachment.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=["object"]
    )
