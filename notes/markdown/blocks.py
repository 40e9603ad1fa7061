"""The blocks of a Markdown text, by CommonMark 0.31: which lines are code and which are text.

The parser reads each line once. A line takes time in proportion to its length, and at most
``MAX_DEPTH`` steps more, so the time is linear for every text. On a busy machine 1 MiB took 0.07 s
as an ordinary note, and at most about 2 s as a hostile one (500,000 lines of one character).

It is written by hand because markdown-it-py 4.3.0 is too slow for hostile notes in a request or in
the worker. Its block parser alone took 0.2 s for that ordinary note, but 35 s for 24 KB of
alternating ``> #`` and ``a`` (four times as long for each doubling of the size), 30 s for 1 MiB of
lines that continue a paragraph in 20 quotes, and 61 s for one link reference definition of 1 MiB.
It also makes several tokens of about 500 bytes for each line. The tests use it as the oracle: both
parsers agree on what is code.
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

MAX_DEPTH = 100  # of nested quotes and list items; what is nested deeper is read as text

# An open container is stored as a number: 0 is a quote, 2 or more is a list item of that width.
_QUOTE = 0
_TEXT, _HEADING, _FENCED, _INDENTED, _HTML = range(1, 6)


class Block(NamedTuple):
    """A block of code, or of text with inline content: a paragraph or a heading.

    Offsets are relative to the original text. A code block consists of whole lines. ``prefixes``
    are the ranges in a text block that are marks of the quotes around it. ``begins_item`` is true
    for the first block of a list item, on the line of the item's marker. HTML blocks and link
    reference definitions are neither code nor text.
    """

    is_code: bool
    start: int
    end: int
    begins_item: bool = False
    prefixes: tuple[tuple[int, int], ...] = ()

    def inline(self, text: str) -> str:
        """Return the block's content with spaces in place of the prefixes and of all CRs.

        It is as long as the block: an offset in it plus ``start`` is the offset in the text.
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
    """Yield the blocks of code and of text, in their order.

    Lines that begin after the offset ``until`` are not read, so the last block may be incomplete.
    """
    parser = _Parser(text)
    last = len(text) if until is None else until
    was_blank = False
    for line in LINE.finditer(text):
        if line.start() > last:
            break
        is_blank = not line[1]
        if is_blank and was_blank:
            continue  # a second empty line changes nothing; a text may have a million of them
        was_blank = is_blank
        if block := parser.read_line(line.start(), line[1]):
            yield block
    if block := parser.finish(len(text)):
        yield block


class _Parser:
    """The containers and the leaf block that are open after a line.

    The leaf is always in the last of the open containers; ``leaf`` is its kind, 0 for none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.containers: list[int] = []
        self.leaf = 0
        self.start = self.text_end = 0
        self.begins_item = False
        self.prefixes: list[tuple[int, int]] = []
        self.fence = ""  # that opened the fenced code
        self.html_end: Pattern[str] | None = None  # None if an empty line ends the HTML
        self.is_complete = False  # the last line of the fenced code or HTML was read
        self.is_empty_item = False  # nothing but the marker of the innermost item was read
        self.closed: Block | None = None

    def read_line(self, start: int, raw: str) -> Block | None:
        """Read the next line; return the block that it ends, if there is one.

        A line ends at most one block: a block of one line is returned when the next line is read.
        """
        self.closed = None
        line = raw.expandtabs(4) if "\t" in raw else raw
        column, depth = self._match_containers(line)
        is_raw = self.leaf in (_FENCED, _HTML) and not self.is_complete
        if is_raw and depth == len(self.containers):
            self._continue_raw(line, column)
        else:
            self._read_blocks(start, raw, line, column, depth)
        return self.closed

    def finish(self, end: int) -> Block | None:
        """Return the block that is still open at the end of the text."""
        self.closed = None
        self._close(0, end)
        return self.closed

    def _match_containers(self, line: str) -> tuple[int, int]:
        """Return the column where a line's content begins and how many containers it continues."""
        column, text_column = 0, _after_spaces(line, 0)
        for depth, width in enumerate(self.containers):
            if text_column == len(line):
                if _QUOTE in (rest := self.containers[depth:]):
                    return text_column, depth + rest.index(_QUOTE)
                return text_column, len(self.containers) - self.is_empty_item
            if width == _QUOTE:
                if text_column - column > 3 or line[text_column] != ">":
                    return column, depth
                column = text_column + 1 + line.startswith(" ", text_column + 1)
                text_column = _after_spaces(line, column)
            elif text_column - column >= width:
                column += width
            else:
                return column, depth
        return column, len(self.containers)

    def _read_blocks(self, start: int, raw: str, line: str, column: int, depth: int) -> None:
        """Read a line outside of fenced code and HTML: first its containers, then its leaf."""
        is_item = False
        while (text_column := _after_spaces(line, column)) < len(line):
            if text_column - column >= 4:
                if self.leaf != _TEXT:
                    self._indented(depth, start)
                    return
                break
            if line[text_column] == ">" and depth < MAX_DEPTH:
                self._open_container(depth, _QUOTE, start)
                column = text_column + 1 + line.startswith(" ", text_column + 1)
                is_item = False
            elif self._begin_leaf(start, raw, line, text_column, depth):
                return
            elif depth < MAX_DEPTH and (end := self._marker_end(line, text_column, depth)):
                first = _after_spaces(line, end)
                # After five or more spaces the content begins one space after the marker, as code.
                content_column = first if first - end < 5 and first < len(line) else end + 1
                self._open_container(depth, content_column - column, start)
                column = min(content_column, len(line))
                is_item = True
                self.is_empty_item = first == len(line)
            else:
                break
            depth += 1
        if text_column == len(line):
            self._blank(depth, start, is_item)
        else:
            self._paragraph(start, raw, line, text_column, depth, is_item)

    def _blank(self, depth: int, start: int, is_item: bool) -> None:
        is_empty_item = self.is_empty_item and is_item
        if self.leaf != _INDENTED or depth < len(self.containers):
            self._close(depth, start)
        self.is_empty_item = is_empty_item

    def _indented(self, depth: int, start: int) -> None:
        if self.leaf != _INDENTED or depth < len(self.containers):
            self._close(depth, start)
            self._begin(_INDENTED, start)

    def _paragraph(
        self, start: int, raw: str, line: str, text_column: int, depth: int, is_item: bool
    ) -> None:
        """Begin or continue a paragraph; a line outside of its containers may continue it too."""
        first = start + _offset(raw, line, text_column)
        if self.leaf == _TEXT:
            if ">" in raw[: first - start]:
                self.prefixes.append((start, first))
        else:
            self._close(depth, start)
            self._begin(_TEXT, first, begins_item=is_item)
        self.text_end = start + len(raw)

    def _begin_leaf(self, start: int, raw: str, line: str, text_column: int, depth: int) -> bool:
        """Begin a leaf other than a paragraph if the line begins one; return whether it does."""
        mark = line[text_column]
        if mark == "#" and HEADING.match(line, text_column):
            self._close(depth, start)
            self._begin(_HEADING, start + _offset(raw, line, text_column))
            self.text_end = start + len(raw)
        elif self._is_underline(line, text_column, depth) or _is_break(line, text_column):
            self._close(depth, start)
        elif mark in "`~" and (fence := FENCE.match(line, text_column)):
            self._close(depth, start)
            self._begin(_FENCED, start)
            self.fence = fence[0]
        elif mark == "<" and self._begins_html(line, text_column):
            self._close(depth, start)
            self._begin(_HTML, start)
            self._continue_raw(line, text_column)
        else:
            return False
        return True

    def _is_underline(self, line: str, text_column: int, depth: int) -> bool:
        """Return whether a line underlines the open paragraph and so makes it a heading."""
        if (
            self.leaf != _TEXT
            or depth < len(self.containers)
            or not UNDERLINE.match(line, text_column)
        ):
            return False
        return self._text_block() is not None

    def _begins_html(self, line: str, text_column: int) -> bool:
        for begin, end in HTML_BLOCKS:
            if begin.match(line, text_column):
                self.html_end = end
                return True
        self.html_end = None
        return self.leaf != _TEXT and bool(HTML_TAG_LINE.match(line, text_column))

    def _continue_raw(self, line: str, column: int) -> None:
        """Mark fenced code or HTML as complete if the line is its last one."""
        text_column = _after_spaces(line, column)
        if self.leaf == _FENCED:
            rest = line[text_column:].rstrip(" ")
            is_fence = rest.startswith(self.fence) and not rest.strip(self.fence[0])
            self.is_complete = is_fence and text_column - column < 4
        elif self.html_end:
            self.is_complete = bool(self.html_end.search(line, text_column))
        else:
            self.is_complete = text_column == len(line)

    def _marker_end(self, line: str, text_column: int, depth: int) -> int:
        """Return the column after the marker of a list item, 0 if there is none.

        An item interrupts a paragraph only if it has text and, if it is numbered, the number 1.
        """
        marker = MARKER.match(line, text_column)
        if not marker:
            return 0
        if self.leaf == _TEXT and depth == len(self.containers):
            is_blank = _after_spaces(line, marker.end()) == len(line)
            if is_blank or int(marker[1] or 1) != 1:
                return 0
        return marker.end()

    def _open_container(self, depth: int, width: int, start: int) -> None:
        self._close(depth, start)
        self.containers.append(width)

    def _begin(self, leaf: int, start: int, *, begins_item: bool = False) -> None:
        self.leaf, self.start, self.begins_item = leaf, start, begins_item

    def _close(self, depth: int, end: int) -> None:
        """Close the containers beyond a depth, and the leaf, which ends at the offset ``end``."""
        del self.containers[depth:]
        if self.leaf == _TEXT:
            self.closed = self._text_block()
        elif self.leaf == _HEADING:
            self.closed = Block(is_code=False, start=self.start, end=self.text_end)
        elif self.leaf in (_FENCED, _INDENTED):
            self.closed = Block(is_code=True, start=self.start, end=end)
        if self.prefixes:
            self.prefixes = []
        self.leaf = 0
        self.is_empty_item = self.is_complete = False

    def _text_block(self) -> Block | None:
        """Return the open paragraph, None if it consists only of link reference definitions."""
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


def _is_break(line: str, text_column: int) -> bool:
    """Return whether a line is a thematic break (4.1)."""
    mark = line[text_column]
    if mark not in "*-_":
        return False
    return len(line.rstrip(f"{mark} ")) <= text_column and line.count(mark, text_column) >= 3


def _after_spaces(line: str, column: int) -> int:
    spaces = SPACES.match(line, column)
    assert spaces, "no spaces are spaces too"
    return spaces.end()


def _offset(raw: str, line: str, column: int) -> int:
    """Return the index in the raw line of a column of the line with expanded tabs."""
    if raw is line:
        return column
    current = 0
    for offset, character in enumerate(raw):
        if current >= column:
            return offset
        current += 4 - current % 4 if character == "\t" else 1
    return len(raw)
