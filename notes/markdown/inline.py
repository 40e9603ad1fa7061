"""The inline content of a block: code spans, raw HTML, links and wikilinks, by CommonMark 0.31.

What begins first wins, as 6.1 and 6.6 say: a code span, an autolink and a raw HTML tag hold nothing
else, and neither does what follows the label of a link or image, ``(destination "title")``. A
wikilink binds more tightly than a link, less than an image: ``[[a]](b)`` is a wikilink, and
``![[a]](b)`` an image. Links by reference are read as
text, of which their labels are a part. The time is linear whatever the content is: 0.02 s for 1 MiB
of an ordinary note, and at most about 2 s for hostile texts (``[a](`` and no more). Full parsing
by markdown-it-py takes time that grows with the square of some of them.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from notes.markdown.grammar import (
    ATTRIBUTE,
    AUTOLINK,
    BACKTICKS,
    BLANKS,
    CLOSING_TAG,
    SPECIAL,
    TAG_END,
    TAG_NAME,
    TITLE,
    after_destination,
)

MAX_WIKILINK = 300  # characters between the brackets

_WIKILINK = re.compile(rf"[^\[\]\n]{{1,{MAX_WIKILINK}}}+")
_DECLARATION = re.compile("<![a-zA-Z]")


class Kind(Enum):
    """What a span is. Of a link it is the part in parentheses, of a wikilink with its brackets."""

    CODE = "code"
    HTML = "html"
    LINK = "link"
    WIKILINK = "wikilink"


class Span(NamedTuple):
    """A span of an inline content. The spans of a content do not overlap."""

    kind: Kind
    start: int
    end: int


def spans(content: str) -> Iterator[Span]:
    """Yield the spans of an inline content in their order."""
    return _Scanner(content).spans()


class _Scanner:
    """Scans a content once, with a stack of the open brackets."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.brackets: list[int] = []  # where brackets without a closing one so far are
        self.images: set[int] = set()  # those of them after an exclamation mark
        self.inactive = 0  # brackets of the stack before a link: links hold no links (6.3)
        self.last_end = 0  # of the spans but wikilinks
        self.runs: dict[int, list[int]] | None = None
        self.last_found: dict[str, int] = {}
        self.not_in_tag: set[int] = set()

    def spans(self) -> Iterator[Span]:
        position = 0
        while special := SPECIAL.search(self.content, position):
            position = special.end()
            span = self._span(special[0], special.start(), position)
            if span:
                position = span.end
                if span.kind is not Kind.WIKILINK:
                    self.last_end = position
                yield span

    def _span(self, mark: str, start: int, end: int) -> Span | None:
        """Return the span that begins with a mark, or ends with it if it is a wikilink."""
        match mark[0]:
            case "`":
                closed = self._after_code(end, end - start)
                return Span(Kind.CODE, start, closed) if closed > 0 else None
            case "<":
                closed = self._after_html(start)
                return Span(Kind.HTML, start, closed) if closed > 0 else None
            case "[" | "!":
                self.brackets.append(end - 1)
                if mark[0] == "!":
                    self.images.add(end - 1)
            case "]":
                return self._closed(start)
        return None

    def _after_code(self, position: int, length: int) -> int:
        """Return where the code span ends whose opening backticks end at a position, or -1."""
        if self.runs is None:
            self.runs = {}
            for run in BACKTICKS.finditer(self.content, position - length):
                self.runs.setdefault(run.end() - run.start(), []).append(run.start())
        starts = self.runs.get(length, [])
        index = bisect_left(starts, position)
        return starts[index] + length if index < len(starts) else -1

    def _after_html(self, start: int) -> int:
        """Return where the autolink or the raw HTML ends that begins at ``start``, or -1."""
        content = self.content
        autolink = AUTOLINK.match(content, start) or CLOSING_TAG.match(content, start)
        if autolink:
            return autolink.end()
        if TAG_NAME.match(content, start):
            return self._after_tag(start)
        if content.startswith("<!--", start):
            for short in ("<!-->", "<!--->"):
                if content.startswith(short, start):
                    return start + len(short)
            return self._after(start + 4, "-->")
        if content.startswith("<![CDATA[", start):
            return self._after(start + 9, "]]>")
        if content.startswith("<?", start):
            return self._after(start + 2, "?>")
        return self._after(start + 3, ">") if _DECLARATION.match(content, start) else -1

    def _after(self, position: int, closer: str) -> int:
        """Return where the next closer after a position ends, -1 if there is none.

        Where the last one is is looked up once, so that a million openers cost no more than one.
        """
        if closer not in self.last_found:
            self.last_found[closer] = self.content.rfind(closer)
        if position > self.last_found[closer]:
            return -1
        return self.content.index(closer, position) + len(closer)

    def _after_tag(self, start: int) -> int:
        """Return where the opening tag ends that begins at ``start``, or -1.

        From between two attributes it always goes on in the same way. So what has failed once from
        there is known, and tags in the attributes of each other take linear time together.
        """
        name = TAG_NAME.match(self.content, start)
        position = name.end() if name else start
        visited = []
        while position not in self.not_in_tag:
            visited.append(position)
            attribute = ATTRIBUTE.match(self.content, position)
            if not attribute:
                if end := TAG_END.match(self.content, position):
                    return end.end()
                break
            position = attribute.end()
        self.not_in_tag |= set(visited)
        return -1

    def _closed(self, position: int) -> Span | None:
        """Return what a closing bracket at a position ends: a wikilink, or the label of a link."""
        if not self.brackets:
            return None
        bracket = self.brackets.pop()
        is_image = bracket in self.images
        is_active = is_image or len(self.brackets) >= self.inactive
        self.inactive = min(self.inactive, len(self.brackets))
        if self._is_wikilink(bracket, position):
            outer = self.brackets.pop()
            self.inactive = len(self.brackets)
            return Span(Kind.WIKILINK, outer, position + 2)
        end = self._after_link(position + 1) if is_active else -1
        if end < 0:
            return None
        if not is_image:
            self.inactive = len(self.brackets)
        return Span(Kind.LINK, position + 1, end)

    def _is_wikilink(self, bracket: int, position: int) -> bool:
        """Return whether ``]`` at a position is the first of two that end a wikilink."""
        if not self.content.startswith("]]", position) or not self.brackets:
            return False
        begin = bracket + 1
        outer = self.brackets[-1]
        if outer != begin - 2 or self.last_end > begin:
            return False
        inner = _WIKILINK.match(self.content, begin)
        if inner is None or inner.end() != position:
            return False
        return not (outer in self.images and self._after_link(position + 2) > 0)

    def _after_link(self, start: int) -> int:
        """Return where ``(destination "title")`` ends that begins at ``start``, or -1."""
        content = self.content
        if not content.startswith("(", start):
            return -1
        begin = self._after_blanks(start + 1)
        end = after_destination(content, begin)
        if end >= 0:
            begin = self._after_blanks(end)
            title = TITLE.match(content, begin) if begin > end else None
            if title:
                begin = self._after_blanks(title.end())
        return begin + 1 if content.startswith(")", begin) else -1

    def _after_blanks(self, position: int) -> int:
        blanks = BLANKS.match(self.content, position)
        assert blanks, "no blanks are blanks too"
        return blanks.end()
