"""Links between notes in Markdown.

There are two kinds: ``[[Title]]``, also with ``|another text``, ``#a heading`` or ``^a block``
after the title, and links to the URL of a note, ``[text](/api/v1/notes/12)``. Code and raw HTML
contain no links. Finding the links takes linear time for every text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from notes.markdown.blocks import Block, blocks
from notes.markdown.inline import MAX_WIKILINK, Kind, spans

MAX_LINKS = 1000  # of one note that are read

_ADDRESS = re.compile(
    r"\(\s{0,9}<?(?P<root>https?://[^\s()<>/]{1,300})?(?:/api/v1)?/notes/(?P<id>\d{1,18})>?\)",
    re.ASCII,
)
# What ends the title between the brackets. In tables the bar needs a backslash.
_BAR = re.compile(r"\\?\|")
_MARK = re.compile(r"[#^]")
# Characters that would end the link, or turn it into code or HTML with the text around it.
_UNWRITABLE = re.compile(r"[\[\]|`<]|\\\Z")


class Reading(NamedTuple):
    """A title that a link may mean, and the text after it within the brackets."""

    title: str
    rest: str


@dataclass(frozen=True)
class Link:
    """A link from ``start`` to ``end`` of a text, by title or by ``note_id``.

    ``readings`` are the titles that it may mean, the longest first: ``[[C#]]`` means the note "C#"
    if there is one, and else a place in the note "C".
    """

    start: int
    end: int
    readings: tuple[Reading, ...] = ()
    note_id: int | None = None

    @property
    def title(self) -> str:
        """The shortest title that it may mean, ``''`` for a link by number."""
        return self.readings[-1].title if self.readings else ""


def _never(root: str) -> bool:
    return False


def find(text: str, *, is_own: Callable[[str], bool] = _never) -> list[Link]:
    """Return the first 1,000 links of a text, in their order.

    ``is_own`` returns whether this service answers at a root such as ``https://notes.example.org``:
    the number of somebody else's note is no link.
    """
    links: list[Link] = []
    last = max(text.rfind("]]"), text.rfind("/notes/"))
    if last < 0:
        return links
    for block in blocks(text):
        if block.start > last:
            break
        if not block.is_code:
            links.extend(islice(_in_block(text, block, is_own), MAX_LINKS - len(links)))
        if len(links) == MAX_LINKS:
            break
    return links


def retitle(
    text: str,
    target: Callable[[str], tuple[str, str] | None],
    *,
    means: Callable[[str], bool] = _never,
) -> str:
    """Return a text with some of its links by title rewritten.

    ``target`` returns the current title and the URL of the note that a title meant, or None to
    leave the link unchanged. A link gets the URL if the title is '' or cannot stand in brackets.
    ``means`` returns whether a title means another note: then no shorter reading is looked at.
    """
    parts, position = [], 0
    for link in find(text):
        for reading in link.readings:
            if note := target(reading.title):
                parts += [text[position : link.start], _written(reading, *note)]
                position = link.end
            if note or means(reading.title):
                break
    return "".join([*parts, text[position:]])


def _written(reading: Reading, title: str, address: str) -> str:
    bar = _BAR.match(reading.rest)
    # Before a heading, a mark in the title would be taken for the one that ends it.
    is_whole = not _MARK.search(title) or not reading.rest or bar
    is_short = len(title + reading.rest) <= MAX_WIKILINK
    if is_whole and is_short and can_be_written(title):
        return f"[[{title}{reading.rest}]]"
    text = _BAR.split(reading.rest, maxsplit=1)[1:] or [reading.title]
    return f"[{text[0]}]({address})"


def can_be_written(title: str) -> bool:
    """Return whether a title can stand between the brackets of a link."""
    return bool(title.strip()) and not _UNWRITABLE.search(title) and title.splitlines() == [title]


def _in_block(text: str, block: Block, is_own: Callable[[str], bool]) -> Iterator[Link]:
    content = block.inline(text)
    if "]]" not in content and "/notes/" not in content:
        return
    for span in spans(content):
        link = None
        if span.kind is Kind.WIKILINK:
            link = _by_title(content, span.start, span.end, block.start)
        elif span.kind is Kind.LINK and (address := _ADDRESS.fullmatch(content, *span[1:])):
            start, end = block.start + span.start, block.start + span.end
            if address["root"] is None or is_own(address["root"]):
                link = Link(start, end, note_id=int(address["id"]))
        if link:
            yield link


def _by_title(content: str, start: int, end: int, offset: int) -> Link | None:
    inner = content[start + 2 : end - 2]
    ends = [len(inner)]
    if bar := _BAR.search(inner):
        ends.append(bar.start())
    if mark := _MARK.search(inner, 0, ends[-1]):
        ends.append(mark.start())
    if not inner[: ends[-1]].strip():  # a heading of the same note
        return None
    readings = tuple(Reading(inner[:end].strip(), inner[end:]) for end in ends)
    return Link(offset + start, offset + end, readings=readings)
