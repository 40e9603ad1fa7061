"""Move files from one storage to another while the service runs.

While ``OTHER_STORAGE`` is set, reads look in both storages, writes go to the one in use, and
deletes remove an object from both.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cloudnotes.db.streaming import streamed
from notes.files import storage
from notes.files.models import StoredObject


@dataclass
class Moved:
    """How many objects were copied or were there already, and the keys that neither storage has."""

    brought: int = 0
    bytes: int = 0
    there: int = 0
    missing: list[str] = field(default_factory=list)


def move(*, tell: Callable[[int, int], None]) -> Moved:
    """Copy every ready object that the storage in use does not have; return the counts.

    Calls ``tell(done, total)`` after each object. Objects that are stored meanwhile are in the
    right storage already. Raises :class:`notes.files.storage.StorageUnavailable`; objects that were
    copied until then stay.
    """
    moved = Moved()
    ready = StoredObject.objects.filter(state=StoredObject.State.READY).order_by("pk")
    total = ready.count()
    with streamed(ready) as rows:
        for done, row in enumerate(rows, start=1):
            was_brought = storage.bring(row.key, size=row.size, sha256=row.sha256)
            if was_brought:
                moved.brought += 1
                moved.bytes += row.size
                if not StoredObject.objects.filter(pk=row.pk, key=row.key).exists():
                    storage.delete(row.key)  # it was deleted from both during the copy
            elif was_brought is False:
                moved.there += 1
            elif ready.filter(pk=row.pk, key=row.key).exists():
                moved.missing.append(row.key)
            tell(min(done, total), total)
    return moved
