"""The blocks of a text in Markdown, by CommonMark 0.31: which lines are code, which are text.

One pass over the lines. A line costs its length and at most ``MAX_DEPTH`` steps, so the time is
linear whatever the text is. On a busy machine 1 MiB took 0.07 s as an ordinary note, and at most
about 2 s as a hostile one (500,000 lines of one character).

It is written by hand because markdown-it-py 4.3.0 cannot read hostile notes in a request or in the
worker. Its block parser alone took 0.2 s for that ordinary note, but 35 s for 24 KB of ``> #`` and
``a`` in turns (four times as long for each twice as much), 30 s for 1 MiB of lines that continue a
paragraph in 20 quotes, 61 s for one link reference definition of 1 MiB, and several tokens of some
500 bytes for each line. It is the oracle of the tests instead: both agree on what is code.
"""

from collections.abc import Iterator
from re import Pattern
from typing import NamedTuple

from notes.markdown.grammar import (
    FENCE,
    HEADING,
    HTML_BLOCKS,
    HTML_TAG_LINE,
    LINE,
    MARKER,
    SPACES,
    UNDERLINE,
    after_definitions,
)

MAX_DEPTH = 100  # of quotes and list items in each other; what lies deeper is text

_QUOTE = 0  # in the list of open containers, where a list item is the columns it takes: 2 or more
_TEXT, _HEADING, _FENCED, _INDENTED, _HTML = range(1, 6)


class Block(NamedTuple):
    """A block of code, or of text with inline content: a paragraph or a heading.

    The offsets are those of the original text. Code takes whole lines. ``prefixes`` are the ranges
    in a text block that belong to the quotes it is in. ``begins_item`` says that it is what a list
    item begins with, on the line of the item's marker. HTML blocks and link reference definitions
    are no blocks of either kind.
    """

    is_code: bool
    start: int
    end: int
    begins_item: bool = False
    prefixes: tuple[tuple[int, int], ...] = ()

    def inline(self, text: str) -> str:
        """Return the block's content with blanks in place of the prefixes and of all CRs.

        It is exactly as long as the block, so that offsets differ by ``start`` alone.
        """
        if self.prefixes:
            parts, position = [], self.start
            for start, end in self.prefixes:
                parts += [text[position:start], " " * (end - start)]
                position = end
            content = "".join([*parts, text[position : self.end]])
        else:
            content = text[self.start : self.end]
        if "\r" in content:
            content = content.replace("\r\n", " \n").replace("\r", "\n")
        return content


def blocks(text: str, *, until: int | None = None) -> Iterator[Block]:
    """Yield the blocks of a text that hold code or text, in their order.

    Lines that begin after the offset ``until`` are not read: the last block may be incomplete then.
    """
    parser = _Parser(text)
    last = len(text) if until is None else until
    was_blank = False
    for line in LINE.finditer(text):
        if line.start() > last:
            break
        is_blank = not line[1]
        if is_blank and was_blank:
            continue  # another empty line changes nothing, and there may be a million
        was_blank = is_blank
        if block := parser.take(line.start(), line[1]):
            yield block
    if block := parser.end(len(text)):
        yield block


class _Parser:
    """The containers and the leaf block that are open after a line.

    The leaf is always in the last of the open containers; ``leaf`` is its kind, 0 for none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.open: list[int] = []
        self.leaf = 0
        self.start = self.text_end = 0
        self.begins_item = False
        self.prefixes: list[tuple[int, int]] = []
        self.fence = ""  # what opened fenced code
        self.html_end: Pattern[str] | None = None  # None for an empty line
        self.is_complete = False  # fenced code or HTML whose last line was read
        self.is_hollow = False  # in an item of which there is nothing yet but the marker
        self.closed: Block | None = None

    def take(self, start: int, raw: str) -> Block | None:
        """Read the next line; return the block that it has ended, if there is one.

        A line ends at most one: what begins and ends with a line is returned for the next one.
        """
        self.closed = None
        line = raw.expandtabs(4) if "\t" in raw else raw
        place, depth = self._continued(line)
        is_raw = self.leaf in (_FENCED, _HTML) and not self.is_complete
        if is_raw and depth == len(self.open):
            self._continue_raw(line, place)
        else:
            self._read(start, raw, line, place, depth)
        return self.closed

    def end(self, at: int) -> Block | None:
        """Return the block that is open at the end of the text."""
        self.closed = None
        self._close(0, at)
        return self.closed

    def _continued(self, line: str) -> tuple[int, int]:
        """Return where the text of a line begins and in how many of the open containers it is."""
        place, text = 0, _after_spaces(line, 0)
        for depth, width in enumerate(self.open):
            if text == len(line):
                if _QUOTE in (rest := self.open[depth:]):
                    return text, depth + rest.index(_QUOTE)
                return text, len(self.open) - self.is_hollow
            if width == _QUOTE:
                if text - place > 3 or line[text] != ">":
                    return place, depth
                place = text + 1 + line.startswith(" ", text + 1)
                text = _after_spaces(line, place)
            elif text - place >= width:
                place += width
            else:
                return place, depth
        return place, len(self.open)

    def _read(self, start: int, raw: str, line: str, place: int, depth: int) -> None:
        """Read a line that is no part of fenced code or HTML: containers, then a leaf."""
        is_item = False
        while (text := _after_spaces(line, place)) < len(line):
            if text - place >= 4:
                if self.leaf != _TEXT:
                    self._indented(depth, start)
                    return
                break
            if line[text] == ">" and depth < MAX_DEPTH:
                self._enter(depth, _QUOTE, start)
                place = text + 1 + line.startswith(" ", text + 1)
                is_item = False
            elif self._leaf(start, raw, line, text, depth):
                return
            elif depth < MAX_DEPTH and (end := self._marker_end(line, text, depth)):
                first = _after_spaces(line, end)
                # After five spaces or more the item is one space away, and begins with code.
                begin = first if first - end < 5 and first < len(line) else end + 1
                self._enter(depth, begin - place, start)
                place = min(begin, len(line))
                is_item = True
                self.is_hollow = first == len(line)
            else:
                break
            depth += 1
        if text == len(line):
            self._blank(depth, start, is_item)
        else:
            self._paragraph(start, raw, line, text, depth, is_item)

    def _blank(self, depth: int, start: int, is_item: bool) -> None:
        is_hollow = self.is_hollow and is_item
        if self.leaf != _INDENTED or depth < len(self.open):
            self._close(depth, start)
        self.is_hollow = is_hollow

    def _indented(self, depth: int, start: int) -> None:
        if self.leaf != _INDENTED or depth < len(self.open):
            self._close(depth, start)
            self._begin(_INDENTED, start)

    def _paragraph(
        self, start: int, raw: str, line: str, text: int, depth: int, is_item: bool
    ) -> None:
        """Begin a paragraph with a line, or continue one, which also lines outside of it may."""
        first = start + _offset(raw, line, text)
        if self.leaf == _TEXT:
            if ">" in raw[: first - start]:
                self.prefixes.append((start, first))
        else:
            self._close(depth, start)
            self._begin(_TEXT, first, begins_item=is_item)
        self.text_end = start + len(raw)

    def _leaf(self, start: int, raw: str, line: str, text: int, depth: int) -> bool:
        """Begin the leaf that a line begins, if it is not a paragraph; return whether it does."""
        mark = line[text]
        if mark == "#" and HEADING.match(line, text):
            self._close(depth, start)
            self._begin(_HEADING, start + _offset(raw, line, text))
            self.text_end = start + len(raw)
        elif self._is_underline(line, text, depth) or _is_break(line, text):
            self._close(depth, start)
        elif mark in "`~" and (fence := FENCE.match(line, text)):
            self._close(depth, start)
            self._begin(_FENCED, start)
            self.fence = fence[0]
        elif mark == "<" and self._begins_html(line, text):
            self._close(depth, start)
            self._begin(_HTML, start)
            self._continue_raw(line, text)
        else:
            return False
        return True

    def _is_underline(self, line: str, text: int, depth: int) -> bool:
        """Return whether a line makes a heading of the open paragraph."""
        if self.leaf != _TEXT or depth < len(self.open) or not UNDERLINE.match(line, text):
            return False
        return self._text_block() is not None

    def _begins_html(self, line: str, text: int) -> bool:
        for begin, end in HTML_BLOCKS:
            if begin.match(line, text):
                self.html_end = end
                return True
        self.html_end = None
        return self.leaf != _TEXT and bool(HTML_TAG_LINE.match(line, text))

    def _continue_raw(self, line: str, place: int) -> None:
        """Complete fenced code or HTML if a line is the last of it."""
        text = _after_spaces(line, place)
        if self.leaf == _FENCED:
            rest = line[text:].rstrip(" ")
            is_fence = rest.startswith(self.fence) and not rest.strip(self.fence[0])
            self.is_complete = is_fence and text - place < 4
        elif self.html_end:
            self.is_complete = bool(self.html_end.search(line, text))
        else:
            self.is_complete = text == len(line)

    def _marker_end(self, line: str, text: int, depth: int) -> int:
        """Return where the marker of an item ends, 0 if there is none.

        An item that breaks a paragraph off has text, and the number 1 if it has one.
        """
        marker = MARKER.match(line, text)
        if not marker:
            return 0
        if self.leaf == _TEXT and depth == len(self.open):
            is_blank = _after_spaces(line, marker.end()) == len(line)
            if is_blank or int(marker[1] or 1) != 1:
                return 0
        return marker.end()

    def _enter(self, depth: int, width: int, start: int) -> None:
        self._close(depth, start)
        self.open.append(width)

    def _begin(self, leaf: int, start: int, *, begins_item: bool = False) -> None:
        self.leaf, self.start, self.begins_item = leaf, start, begins_item

    def _close(self, depth: int, at: int) -> None:
        """End what is open beyond a depth, and the leaf; a line begins there at ``at``."""
        del self.open[depth:]
        if self.leaf == _TEXT:
            self.closed = self._text_block()
        elif self.leaf == _HEADING:
            self.closed = Block(is_code=False, start=self.start, end=self.text_end)
        elif self.leaf in (_FENCED, _INDENTED):
            self.closed = Block(is_code=True, start=self.start, end=at)
        if self.prefixes:
            self.prefixes = []
        self.leaf = 0
        self.is_hollow = self.is_complete = False

    def _text_block(self) -> Block | None:
        """Return the open paragraph, None if it is nothing but link reference definitions."""
        block = Block(
            is_code=False,
            start=self.start,
            end=self.text_end,
            begins_item=self.begins_item,
            prefixes=tuple(self.prefixes),
        )
        if self.text[self.start] != "[":
            return block
        defined = after_definitions(block.inline(self.text))
        if not defined:
            return block
        start = self.start + defined
        if start >= self.text_end:
            return None
        prefixes = tuple(prefix for prefix in self.prefixes if prefix[1] > start)
        return Block(is_code=False, start=start, end=self.text_end, prefixes=prefixes)


def _is_break(line: str, text: int) -> bool:
    """Return whether a line is a thematic break (4.1)."""
    mark = line[text]
    if mark not in "*-_":
        return False
    return len(line.rstrip(f"{mark} ")) <= text and line.count(mark, text) >= 3


def _after_spaces(line: str, place: int) -> int:
    spaces = SPACES.match(line, place)
    assert spaces, "no spaces are spaces too"
    return spaces.end()


def _offset(raw: str, line: str, column: int) -> int:
    """Return which character of a line is in a column of the line with its tabs expanded."""
    if raw is line:
        return column
    at = 0
    for offset, character in enumerate(raw):
        if at >= column:
            return offset
        at += 4 - at % 4 if character == "\t" else 1
    return len(raw)
