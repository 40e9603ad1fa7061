"""Files of before become what their notes keep of them, and are counted for their owners."""

import json

from django.db import migrations
from django.db.models import Min


def fill(apps, schema_editor):
    attachments = apps.get_model("notes", "Attachment").objects
    objects = apps.get_model("notes", "StoredObject").objects
    notes = apps.get_model("notes", "Note").objects
    revisions = apps.get_model("notes", "Revision").objects
    holds = apps.get_model("notes", "KeptFile").objects
    found = attachments.select_related("note", "object").defer("note__content").order_by("pk")
    for attachment in found.iterator():
        stored, owner = attachment.object, attachment.note.owner_id
        # Of each content an owner has one object; the sweeper deletes the others.
        same = {"owner": owner, "sha256": stored.sha256, "state": "ready"}
        first = objects.filter(**same).aggregate(first=Min("pk"))["first"] or stored.pk
        if first == stored.pk:
            objects.filter(pk=first).update(owner=owner)
        else:
            attachments.filter(pk=attachment.pk).update(object=first)
        file = {
            "id": attachment.pk,
            "object": first,
            "name": attachment.name,
            "size": stored.size,
            "content_type": stored.content_type,
            "sha256": stored.sha256,
            "is_main": True,
        }
        told = {name: value for name, value in file.items() if value}
        kept = json.dumps([told], ensure_ascii=False, separators=(",", ":"))
        notes.filter(pk=attachment.note_id).update(files=kept)
        # Before, files had no history: each state had those that the note has now.
        states = revisions.filter(note=attachment.note_id)
        states.update(files=kept)
        holds.bulk_create(
            holds.model(revision_id=pk, object_id=first)
            for pk in states.values_list("pk", flat=True).iterator()
        )


class Migration(migrations.Migration):

    dependencies = [
        ('notes', '0013_attachments'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
