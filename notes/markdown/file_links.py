"""Links to files inside Markdown: stable as they are stored, signed as they are shown.

Both are addresses anywhere in the text but in code, also in HTML and in definitions of links. In
code nothing is changed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from notes.markdown.blocks import blocks
from notes.markdown.inline import Kind, spans

SIGNED = "/files/"  # what signed addresses begin with
# With or without scheme and host; what follows is not part of a longer path.
_STABLE = re.compile(
    r"(?P<root>https?://[^\s/()<>\"'\\]{1,300})?"
    r"/api/v1/notes/(?P<note>\d{1,18})/attachments/(?P<file>\d{1,18})"
    r"(?:\?inline=1)?(?![\w/?&%-])",
    re.ASCII,
)
_SIGNED = re.compile(r"/files/(?P<token>[\w:-]{20,2000})(?![\w/?&%])", re.ASCII)


class FileLink(NamedTuple):
    """A stable link at ``start`` to ``end`` of a text, to a file by its attachment's number."""

    start: int
    end: int
    note_id: int
    attachment_id: int


def find(content: str, *, root: str) -> list[FileLink]:
    """Return the links to files of the service at ``root``, in their order.

    Takes time in proportion to the text.
    """
    matches = [each for each in _STABLE.finditer(content) if each["root"] in (None, root)]
    return [
        FileLink(*match.span(), int(match["note"]), int(match["file"]))
        for match in _outside_code(content, matches, "/attachments/")
    ]


def sign(
    content: str, links: Iterable[FileLink], *, address: Callable[[int, int], str | None]
) -> str:
    """Return a text whose links to files lead to the ``address`` of note and attachment.

    ``links`` are those that :func:`find` has returned. One without an address stays as it is.
    """
    parts, position = [], 0
    for link in links:
        if signed := address(link.note_id, link.attachment_id):
            parts += [content[position : link.start], signed]
            position = link.end
    return "".join([*parts, content[position:]])


def unsign(
    content: str, *, read: Callable[[str], tuple[int, int] | None], is_fragment: bool = False
) -> str:
    """Return a text in which addresses that :func:`sign` has put in are stable links again.

    ``read`` returns note and attachment of a token, None if it was not signed here. Whether a
    fragment is code depends on where it is put, so in a fragment they become stable everywhere: a
    signed address would end after minutes.
    """
    if SIGNED not in content:
        return content
    files = {match: file for match in _SIGNED.finditer(content) if (file := read(match["token"]))}
    parts, position = [], 0
    for match in files if is_fragment else _outside_code(content, list(files), SIGNED):
        note_id, attachment_id = files[match]
        stable = f"/api/v1/notes/{note_id}/attachments/{attachment_id}"
        parts += [content[position : match.start()], stable]
        position = match.end()
    return "".join([*parts, content[position:]])


def _outside_code(
    content: str, matches: Sequence[re.Match[str]], needle: str
) -> Iterator[re.Match[str]]:
    """Yield those of the matches that do not touch code. Each of them holds the needle."""
    if not matches:
        return
    code = _code(content, needle)
    start, end = next(code, (len(content), len(content)))
    for match in matches:
        while end <= match.start() and start < len(content):
            start, end = next(code, (len(content), len(content)))
        if match.end() <= start:
            yield match


def _code(content: str, needle: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the code in a text, except for spans in blocks without the needle."""
    for block in blocks(content):
        if block.is_code:
            yield block.start, block.end
        elif content.find(needle, block.start, block.end) >= 0:
            for span in spans(block.inline(content)):
                if span.kind is Kind.CODE:
                    yield block.start + span.start, block.start + span.end
