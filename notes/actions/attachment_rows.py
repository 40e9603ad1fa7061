"""Rows of ``Attachment``: they follow the column ``files`` of their notes."""

from notes.files import quotas
from notes.models import Attachment, Note, StoredObject
from notes.models import attachments as files


def lock_objects(note: Note, files_json: str) -> str:
    """Return a new value for the ``files`` of a locked note, without files that no longer exist.

    Locks the objects that are new to the note, so that none is deleted before it is attached. The
    quota is locked first: every write that stores a file uses this order.
    """
    new_files = files.split(files_json)
    held_ids = {file.object for file in files.split(note.files)}
    missing_ids = {file.object for file in new_files} - held_ids
    if not missing_ids:
        return files_json
    quotas.lock(note.owner_id)
    objects = StoredObject.objects.filter(pk__in=missing_ids, state=StoredObject.State.READY)
    held_ids |= set(
        objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)
    )
    return files.join(file for file in new_files if file.object in held_ids)


def sync_rows(note: Note) -> None:
    """Make the attachments of a locked note match its ``files``, whose objects are locked.

    An attachment that comes back from the history gets its old id, so that links to it still work.
    """
    rows = [
        Attachment(pk=file.id, note=note, object_id=file.object) for file in files.split(note.files)
    ]
    Attachment.objects.filter(note=note).exclude(pk__in=[row.pk for row in rows]).delete()
    Attachment.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=["object"]
    )
