"""Links between notes in Markdown.

There are two kinds: ``[[Title]]``, also with ``|another text`` or ``#a heading`` after the title,
and links to the URL of a note, ``[text](/api/v1/notes/12)``. Code and raw HTML contain no links.
Finding the links takes linear time for every text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from notes.markdown.blocks import Block, blocks
from notes.markdown.inline import MAX_WIKILINK, Kind, spans

MAX_LINKS = 1000  # of one note that are read

_ADDRESS = re.compile(
    r"\(\s{0,9}<?(?:https?://[^\s()<>/]{1,300})?(?:/api/v1)?/notes/(?P<id>\d{1,18})>?\)", re.ASCII
)
# The characters that end the title between the brackets.
_AFTER_TITLE = re.compile(r"[|#]")
# Characters that would end the link, or turn it into code or HTML with the text around it.
_UNWRITABLE = re.compile(r"[\[\]|#`<]|\\\Z")


@dataclass(frozen=True)
class Link:
    """A link from ``start`` to ``end`` of a text, by ``title`` or by ``note_id``.

    ``rest`` is the text after the title within the brackets.
    """

    start: int
    end: int
    title: str = ""
    rest: str = ""
    note_id: int | None = None


def find(text: str) -> list[Link]:
    """Return the first 1,000 links of a text, in their order."""
    links: list[Link] = []
    last = max(text.rfind("]]"), text.rfind("/notes/"))
    if last < 0:
        return links
    for block in blocks(text):
        if block.start > last:
            break
        if not block.is_code:
            links.extend(islice(_in_block(text, block), MAX_LINKS - len(links)))
        if len(links) == MAX_LINKS:
            break
    return links


def retitle(text: str, target: Callable[[str], tuple[str, str] | None]) -> str:
    """Return a text with some of its links by title rewritten.

    ``target`` returns the current title and the URL of the note that a title means, or None to
    leave the link unchanged. A link gets the URL if the title is '' or cannot stand in brackets.
    """
    parts, position = [], 0
    for link in find(text):
        note = target(link.title) if link.title else None
        if note is None:
            continue
        title, address = note
        if can_be_written(title) and len(title + link.rest) <= MAX_WIKILINK:
            replacement = f"[[{title}{link.rest}]]"
        else:
            replacement = f"[{link.rest.partition('|')[2] or link.title}]({address})"
        parts += [text[position : link.start], replacement]
        position = link.end
    return "".join([*parts, text[position:]])


def can_be_written(title: str) -> bool:
    """Return whether a title can stand between the brackets of a link."""
    return bool(title.strip()) and not _UNWRITABLE.search(title) and title.splitlines() == [title]


def _in_block(text: str, block: Block) -> Iterator[Link]:
    content = block.inline(text)
    if "]]" not in content and "/notes/" not in content:
        return
    for span in spans(content):
        link = None
        if span.kind is Kind.WIKILINK:
            link = _by_title(content, span.start, span.end, block.start)
        elif span.kind is Kind.LINK and (address := _ADDRESS.fullmatch(content, *span[1:])):
            start, end = block.start + span.start, block.start + span.end
            link = Link(start, end, note_id=int(address["id"]))
        if link:
            yield link


def _by_title(content: str, start: int, end: int, offset: int) -> Link | None:
    inner = content[start + 2 : end - 2]
    title = _AFTER_TITLE.split(inner, maxsplit=1)[0]
    if not title.strip():
        return None
    return Link(offset + start, offset + end, title=title.strip(), rest=inner[len(title) :])
