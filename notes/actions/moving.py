"""Files brought from one storage into another while the service goes on.

With ``OTHER_STORAGE`` set, what is read is looked for in both and what is stored goes to the one in
use. Deleting deletes from both.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from notes.files import storage
from notes.models import StoredObject


@dataclass
class Moved:
    """How many objects were brought or there already, and the keys of those to be had nowhere."""

    brought: int = 0
    bytes: int = 0
    there: int = 0
    missing: list[str] = field(default_factory=list)


def move(*, tell: Callable[[int, int], None]) -> Moved:
    """Bring every object that counts and is not in the storage in use; return what was done.

    ``tell`` is told how many of how many are done. What is stored meanwhile is in the right place
    already. Raises :class:`notes.files.storage.StorageUnavailable`; what was brought until then
    stays.
    """
    moved = Moved()
    ready = StoredObject.objects.filter(state=StoredObject.State.READY).order_by("pk")
    total = ready.count()
    for done, row in enumerate(ready.iterator(), start=1):
        was_brought = storage.bring(row.key, size=row.size, sha256=row.sha256)
        if was_brought:
            moved.brought += 1
            moved.bytes += row.size
            if not StoredObject.objects.filter(pk=row.pk, key=row.key).exists():
                storage.delete(row.key)  # it was deleted from both in the middle of that
        elif was_brought is False:
            moved.there += 1
        elif ready.filter(pk=row.pk, key=row.key).exists():
            moved.missing.append(row.key)
        tell(min(done, total), total)
    return moved
