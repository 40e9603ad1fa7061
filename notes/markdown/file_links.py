"""Links to files in Markdown: stable links in stored text, signed links in displayed text.

Both are URLs anywhere in the text except in code, also in HTML and in definitions of links. Code is
never changed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from notes.markdown.blocks import blocks
from notes.markdown.inline import Kind, spans

SIGNED = "/files/"  # the beginning of the path of a signed link
# With or without scheme and host; not followed by more of a path.
_STABLE = re.compile(
    r"(?P<root>https?://[^\s/()<>\"'\\]{1,300})?"
    r"/api/v1/notes/(?P<note>\d{1,18})/attachments/(?P<file>\d{1,18})"
    r"(?P<query>\?inline=1)?(?![\w/?&%-])",
    re.ASCII,
)
_SIGNED = re.compile(
    r"/files/(?P<token>[\w:-]{20,2000})(?P<query>\?inline=1)?(?![\w/?&%])", re.ASCII
)


class FileLink(NamedTuple):
    """A stable link from ``start`` to ``end`` of a text, to a file by its attachment id.

    ``query`` is ``?inline=1`` or ``''``; it comes back from a signed link.
    """

    start: int
    end: int
    note_id: int
    attachment_id: int
    query: str


def find(content: str, *, root: str) -> list[FileLink]:
    """Return the links to files of the service at ``root``, in their order.

    Takes time in proportion to the text.
    """
    matches = [match for match in _STABLE.finditer(content) if match["root"] in (None, root)]
    return [
        FileLink(*match.span(), int(match["note"]), int(match["file"]), match["query"] or "")
        for match in _outside_code(content, matches, "/attachments/")
    ]


def sign(
    content: str, links: Iterable[FileLink], *, address: Callable[[int, int], str | None]
) -> str:
    """Return a text whose links to files are replaced by signed links.

    ``links`` is the result of :func:`find`. ``address`` returns the signed link to a file by the
    ids of its note and attachment; if it returns None, the link is not changed.
    """
    parts, position = [], 0
    for link in links:
        if signed := address(link.note_id, link.attachment_id):
            parts += [content[position : link.start], signed + link.query]
            position = link.end
    return "".join([*parts, content[position:]])


def unsign(
    content: str, *, read: Callable[[str], tuple[int, int] | None], is_fragment: bool = False
) -> str:
    """Return a text in which the signed links made by :func:`sign` are stable links again.

    ``read`` returns the ids of note and attachment of a token, None if this service did not sign
    it. Whether a fragment is code depends on the text around it, so in a fragment all signed links
    become stable: a signed link would expire after minutes.
    """
    if SIGNED not in content:
        return content
    files = {match: file for match in _SIGNED.finditer(content) if (file := read(match["token"]))}
    parts, position = [], 0
    for match in files if is_fragment else _outside_code(content, list(files), SIGNED):
        note_id, attachment_id = files[match]
        stable = f"/api/v1/notes/{note_id}/attachments/{attachment_id}"
        parts += [content[position : match.start()], stable + (match["query"] or "")]
        position = match.end()
    return "".join([*parts, content[position:]])


def _outside_code(
    content: str, matches: Sequence[re.Match[str]], needle: str
) -> Iterator[re.Match[str]]:
    """Yield the matches that do not overlap code. Each match contains the needle."""
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
