"""Links between notes in Markdown. Pure: no database, no HTTP.

There are two kinds: ``[[Title]]``, also with ``|another text`` or ``#a heading`` after the title,
and links to the address of a note, ``[text](/api/v1/notes/12)``. In code there are none (CommonMark
0.31, 4.5 and 6.1, by lines). Whatever the text, finding them takes linear time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST = 1000  # of a note
LONGEST = 300  # characters between the brackets

LINK = re.compile(
    rf"\[\[(?P<inner>[^\[\]\n]{{1,{LONGEST}}})\]\]"
    r"|(?<=\])\(\s{0,9}<?(?:https?://[^\s()<>/]{1,300})?(?:/api/v1)?/notes/(?P<id>\d{1,18})>?\)"
)
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
BACKTICKS = re.compile(r"`+")
# What ends the title between the brackets.
AFTER_TITLE = re.compile(r"[|#]")


@dataclass(frozen=True)
class Link:
    """A link at ``start`` to ``end`` of a text, by ``title``, or by ``note_id`` and without one.

    ``rest`` is what follows the title within the brackets.
    """

    start: int
    end: int
    title: str = ""
    rest: str = ""
    note_id: int | None = None


def find(text: str) -> list[Link]:
    """Return the first thousand links of a text, in their order."""
    found: list[Link] = []
    if "[" not in text:
        return found
    for start, end in _outside_of_code(text):
        for each in LINK.finditer(text, start, end):
            if each["id"]:
                found.append(Link(*each.span(), note_id=int(each["id"])))
            else:
                title = AFTER_TITLE.split(each["inner"], maxsplit=1)[0]
                if title.strip():
                    rest = each["inner"][len(title) :]
                    found.append(Link(*each.span(), title=title.strip(), rest=rest))
            if len(found) == MOST:
                return found
    return found


def retitle(text: str, told: Callable[[str], tuple[str, str] | None]) -> str:
    """Return a text some of whose links by title are written anew.

    ``told`` returns the other title and the address of the note that a title means, None where the
    link stays. A title that cannot stand between brackets, or is '', gives way to the address.
    """
    parts, at = [], 0
    for link in find(text):
        found = told(link.title) if link.title else None
        if found is None:
            continue
        title, address = found
        if can_be_written(title) and len(title + link.rest) <= LONGEST:
            written = f"[[{title}{link.rest}]]"
        else:
            written = f"[{link.rest.partition('|')[2] or link.title}]({address})"
        parts += [text[at : link.start], written]
        at = link.end
    return "".join([*parts, text[at:]])


def can_be_written(title: str) -> bool:
    """Return whether a title can stand between the brackets of a link."""
    return (
        bool(title.strip()) and not re.search(r"[\[\]|#`]", title) and title.splitlines() == [title]
    )


def _outside_of_code(text: str) -> Iterator[tuple[int, int]]:
    """Yield where there is no code, line by line."""
    fence, at = "", 0
    for line in text.splitlines(keepends=True):
        opened = FENCE.match(line)
        if fence:
            if opened and opened[1].startswith(fence) and not line[opened.end() :].strip():
                fence = ""
        elif opened and "`" not in line[opened.end() :]:
            fence = opened[1]
        else:
            yield from _outside_of_spans(text, at, at + len(line))
        at += len(line)


def _outside_of_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    runs = [found.span() for found in BACKTICKS.finditer(text, start, end)]
    closes: dict[int, int] = {}
    following: dict[int, int] = {}
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        if length in closes:
            following[number] = closes[length]
        closes[length] = number
    at, number = start, 0
    while number < len(runs):
        if number in following:
            yield at, runs[number][0]
            number = following[number]
            at = runs[number][1]
        number += 1
    yield at, end
