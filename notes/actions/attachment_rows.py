"""Attachments, which follow what notes keep of their files."""

from notes import quotas
from notes.models import Attachment, Note, StoredObject
from notes.models import attachments as files


def lock_objects(note: Note, files_json: str) -> str:
    """Return ``kept``, what a locked note shall say of its files, without those that are gone.

    The objects that come to the note are locked, so that none goes before it is attached; with the
    quota first, as whoever stores a file does.
    """
    new_files = files.split(files_json)
    held_ids = {file.object for file in files.split(note.files)}
    missing_ids = {file.object for file in new_files} - held_ids
    if not missing_ids:
        return files_json
    quotas.lock(note.owner_id)
    objects = StoredObject.objects.filter(pk__in=missing_ids, state=StoredObject.State.READY)
    held_ids |= set(objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    return files.join(file for file in new_files if file.object in held_ids)


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
