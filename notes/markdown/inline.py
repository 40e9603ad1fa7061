"""The inline content of a block: code spans, raw HTML, links and wikilinks, by CommonMark 0.31.

The span that begins first has precedence (6.1 and 6.6). A code span, an autolink and a raw HTML tag
contain no other span, and neither does the ``(destination "title")`` after the label of a link or
image. A wikilink has precedence over a link, and an image over a wikilink: ``[[a]](b)`` is a
wikilink, and ``![[a]](b)`` an image. Links by reference are read as text, their labels included.
The time is linear for every content: 0.02 s for 1 MiB of an ordinary note, and at most about 2 s
for hostile texts (``[a](`` repeated). A full parse by markdown-it-py takes quadratic time for some
of those.
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
    """The kind of a span. LINK is the part in parentheses; WIKILINK includes its brackets."""

    CODE = "code"
    HTML = "html"
    LINK = "link"
    WIKILINK = "wikilink"


class Span(NamedTuple):
    """A span of an inline content. Spans do not overlap."""

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
        self.brackets: list[int] = []  # positions of opening brackets that are not closed yet
        self.images: set[int] = set()  # those that follow an exclamation mark
        self.inactive = 0  # number of brackets before a link: a link contains no link (6.3)
        self.last_end = 0  # end of the last span that is no wikilink
        self.runs: dict[int, list[int]] | None = None
        self.last_closers: dict[str, int] = {}
        self.failed_in_tag: set[int] = set()

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
        """Return the span that begins with a mark; a wikilink or link is returned at its ``]``."""
        match mark[0]:
            case "`":
                span_end = self._after_code(end, end - start)
                return Span(Kind.CODE, start, span_end) if span_end > 0 else None
            case "<":
                span_end = self._after_html(start)
                return Span(Kind.HTML, start, span_end) if span_end > 0 else None
            case "[" | "!":
                self.brackets.append(end - 1)
                if mark[0] == "!":
                    self.images.add(end - 1)
            case "]":
                return self._close_bracket(start)
        return None

    def _after_code(self, position: int, length: int) -> int:
        """Return the end of the code span whose opening backticks end at a position, or -1."""
        if self.runs is None:
            self.runs = {}
            for run in BACKTICKS.finditer(self.content, position - length):
                self.runs.setdefault(run.end() - run.start(), []).append(run.start())
        starts = self.runs.get(length, [])
        index = bisect_left(starts, position)
        return starts[index] + length if index < len(starts) else -1

    def _after_html(self, start: int) -> int:
        """Return the end of the autolink or raw HTML that begins at ``start``, or -1."""
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
        """Return the end of the next closer after a position, -1 if there is none.

        The position of the last closer is searched once, so that a million openers without a
        closer take no more time than one.
        """
        if closer not in self.last_closers:
            self.last_closers[closer] = self.content.rfind(closer)
        if position > self.last_closers[closer]:
            return -1
        return self.content.index(closer, position) + len(closer)

    def _after_tag(self, start: int) -> int:
        """Return the end of the opening tag that begins at ``start``, or -1.

        From a position between two attributes the result is always the same. Positions from which
        no tag ended are remembered, so that tags nested in attributes take linear time in total.
        """
        name = TAG_NAME.match(self.content, start)
        position = name.end() if name else start
        visited = []
        while position not in self.failed_in_tag:
            visited.append(position)
            attribute = ATTRIBUTE.match(self.content, position)
            if not attribute:
                if end := TAG_END.match(self.content, position):
                    return end.end()
                break
            position = attribute.end()
        self.failed_in_tag |= set(visited)
        return -1

    def _close_bracket(self, position: int) -> Span | None:
        """Return the wikilink that ``]`` at a position ends, or the link whose label it ends."""
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
        """Return whether ``]`` at a position is the first of the two that end a wikilink."""
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
        """Return the end of the ``(destination "title")`` that begins at ``start``, or -1."""
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
