"""The one list of a note's fields; history, sync, merging and both paths are derived from it.

To add a field see CONTRIBUTING.md. A test checks for each versioned field of this list that it
survives every way in which a note can be written.
"""

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from notes.models import attachments, tags
from notes.models.attachments import File


class Place(NamedTuple):
    """The base address of a note's files: that of the note, or of one of its versions."""

    url: str
    is_past: bool = False


@dataclass(frozen=True)
class NoteField:
    """A member of a note as clients read it.

    ``column`` is its column of ``notes_note``; by default it has the same name.
    ``show(value, note, root)`` converts the column's value; by default it is unchanged. A
    ``versioned`` field is kept in the history, and a write that changes it makes a new version. A
    ``writable`` field can be written by clients. A ``per_reader`` field is a personal flag and not
    part of the note's state.
    """

    name: str
    column: str = ""
    show: Callable[[Any, Any, str], Any] | None = None
    versioned: bool = False
    writable: bool = False
    per_reader: bool = False


def show_time(time: dt.datetime | None, note: Any, root: str) -> dt.datetime | str | None:
    """Return a time in UTC with microseconds, which the renderers leave out if they are 0."""
    return time if time is None or time.microsecond else f"{time:%Y-%m-%dT%H:%M:%S}.000000Z"


def show_tags(names: str, note: Any, root: str) -> list[str]:
    """Return the tags of a note; the column has one per line."""
    return tags.split(names)


def show_main_file(files: str, note: Any, root: str) -> dict[str, Any] | None:
    """Return the main file of a note as JSON, None if it has none."""
    file = attachments.main(files) if files else None
    return show_file(file, place_of(note, root), address="file") if file else None


def show_attachments(files: str, note: Any, root: str) -> list[dict[str, Any]]:
    """Return all files of a note as JSON."""
    if not files:
        return []
    place = place_of(note, root)
    return [show_attachment(file, place) for file in attachments.split(files)]


def place_of(note: Any, root: str) -> Place:
    """Return the base address of a note's files.

    For a note as it was at a time (``notes.history.rewound``) it is that of the version.
    """
    url = f"{root}/api/v1/notes/{note.id}"
    is_past = bool(getattr(note, "then", None))
    return Place(f"{url}/revisions/{note.version}" if is_past else url, is_past)


def show_file(file: File, place: Place, *, address: str) -> dict[str, Any]:
    """Return a file as JSON; its address is ``address``, in a past version made from its id."""
    return {
        "name": file.name,
        "size": file.size,
        "content_type": file.content_type,
        "sha256": file.sha256,
        "url": f"{place.url}/{f'attachments/{file.id}' if place.is_past else address}",
    }


def show_attachment(file: File, place: Place) -> dict[str, Any]:
    """Return an attachment as JSON; past versions have no thumbnails."""
    address = f"attachments/{file.id}"
    has_thumbnail = file.is_image and not place.is_past
    return {
        **show_file(file, place, address=address),
        "id": file.id,
        "width": file.width,
        "height": file.height,
        "is_main": file.is_main,
        "thumbnail": f"{place.url}/{address}/thumbnail" if has_thumbnail else None,
    }


NOTE_FIELDS = (
    NoteField("id"),
    NoteField("title", versioned=True, writable=True),
    NoteField("content", versioned=True, writable=True),
    NoteField("category", versioned=True, writable=True),
    NoteField("tags", show=show_tags, versioned=True, writable=True),
    NoteField("is_favorite", writable=True, per_reader=True),
    NoteField("is_archived", writable=True, per_reader=True),
    NoteField("version"),
    NoteField("file", column="files", show=show_main_file, versioned=True),
    NoteField("attachments", column="files", show=show_attachments, versioned=True),
    NoteField("created_at", show=show_time),
    NoteField("updated_at", show=show_time),
    NoteField("trashed_at", show=show_time, versioned=True),
)

NAMES = tuple(field.name for field in NOTE_FIELDS)
# Each column once, in this order.
COLUMNS = tuple(dict.fromkeys(field.column or field.name for field in NOTE_FIELDS))
# The columns of a note that a revision has too.
VERSIONED = tuple(
    dict.fromkeys(field.column or field.name for field in NOTE_FIELDS if field.versioned)
)
# The fields of a version that clients write; merging works on them.
EDITABLE = tuple(field.name for field in NOTE_FIELDS if field.versioned and field.writable)
FLAGS = tuple(field.name for field in NOTE_FIELDS if field.per_reader)

Names = tuple[str, ...] | frozenset[str]
_SHOW = {field.name: field.show for field in NOTE_FIELDS}


@functools.lru_cache(maxsize=128)
def _maker(names: Names) -> Callable[[Any, str], dict[str, Any]]:
    """Return a function that makes a dict of these members, in the order of the declaration.

    The function is compiled, as :mod:`dataclasses` does: a loop over the fields takes 2.6 times as
    long, which is 7 % of the cost of a list of notes.
    """
    members = []
    for field in NOTE_FIELDS:
        if field.name in names:
            value = f"note.{field.column or field.name}"
            shown = f"show[{field.name!r}]({value}, note, root)" if field.show else value
            members.append(f"{field.name!r}: {shown}")
    source = f"lambda note, root: {{{', '.join(members)}}}"
    maker: Callable[[Any, str], dict[str, Any]] = eval(source, {"show": _SHOW})  # noqa: S307 - of constants
    return maker


_make_all = _maker(NAMES)


def note_json(note: Any, root: str, names: Names = NAMES) -> dict[str, Any]:
    """Return a note as clients read it, or the members of it that ``names`` lists.

    ``note`` has the attributes ``COLUMNS``, or those that the names need. ``root`` is the address
    of the service, such as ``https://notes.example.org``.
    """
    return _make_all(note, root) if names is NAMES else _maker(names)(note, root)


def state_json(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return some of a note's ``EDITABLE`` fields as JSON; ``state`` has their columns' values."""
    return {
        name: value if (show := _SHOW[name]) is None else show(value, None, "")
        for name, value in state.items()
    }
