"""Tasks in Markdown. No ORM, no HTTP.

A block is told from another as CommonMark 0.31 does (sections 4 and 5), as far as it decides what
is a list item: block quotes, list items, fenced and indented code, headings, thematic breaks and
lines that continue a paragraph. HTML blocks are read as text.
"""

import re
from collections.abc import Iterator

MAX_DEPTH = 100  # of quotes and list items in each other; what lies deeper is text

_QUOTE = 0  # in the list of open containers, where a list item is the columns it takes: 2 or more
_LINE = re.compile(r"([^\r\n]*+)(?:\r\n?|\n|\Z)")
_SPACES = re.compile(" *")
_FENCE = re.compile(r"`{3,}+(?=[^`]*\Z)|~{3,}+")
_HEADING = re.compile(r"#{1,6}(?: |\Z)")
_UNDERLINE = re.compile(r"(?:=++|-++) *\Z")
_MARKER = re.compile(r"(?:[-+*]|([0-9]{1,9})[.)])(?= |\Z)")
_BOX = re.compile(r"\[[ xX]\][ \t\v\f]++[^ \t\v\f]")


class NoSuchTask(ValueError):
    """There is no task of that number; ``count`` says how many there are."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The text has {count} tasks.")
        self.count = count


def toggle_task(content: str, number: int) -> str:
    """Return a text in which the task of a number, from 1, is done if it was open, or open again.

    A task is a list item that begins with ``[ ]``, ``[x]`` or ``[X]``, a blank and something else
    (GFM 0.29, section 5.3), at any depth of lists and quotes, not in code. Exactly one character
    changes. Raises :class:`NoSuchTask`. Takes time in proportion to the text.
    """
    count = 0
    for place in _boxes(content):
        count += 1
        if count == number:
            state = "x" if content[place] == " " else " "
            return content[:place] + state + content[place + 1 :]
    raise NoSuchTask(count)


def count_tasks(content: str) -> int:
    """Return how many tasks :func:`toggle_task` knows in a text."""
    return sum(1 for _ in _boxes(content))


def _boxes(content: str) -> Iterator[int]:
    """Yield where the character between the brackets of each task is."""
    blocks = _Blocks()
    last = content.rfind("[")
    text = None
    for line in _LINE.finditer(content):
        before, text = text, line[1]
        if line.start() > last:
            return
        if before == text == "":
            continue  # an empty line more changes nothing, and there may be a million
        if blocks.begins_item_with_bracket(text.expandtabs(4)):
            # It is the first bracket of the line: what makes an item has none.
            bracket = content.index("[", line.start())
            if _BOX.match(content, bracket, line.end(1)):
                yield bracket + 1


class _Blocks:
    """The blocks that are open after a line, and what the next line is to them.

    A line costs its length and at most ``MAX_DEPTH`` steps. A paragraph, fence or hollow item is
    always in the last of the open containers.
    """

    def __init__(self) -> None:
        self.open: list[int] = []
        self.fence = ""  # what opened the fenced code that the line is in
        self.in_paragraph = False
        self.is_hollow = False  # in an item of which there is nothing yet but the marker

    def begins_item_with_bracket(self, line: str) -> bool:
        """Take the next line, its tabs expanded; return whether a new item's text begins with [."""
        place, depth = self._continued(line)
        if self.fence and depth == len(self.open):
            self._take_code(line, place)
            return False
        self.fence = ""
        is_item = False
        while (text := _after_spaces(line, place)) < len(line):
            if text - place >= 4:
                if self.in_paragraph:
                    break
                self._close(depth)
                return False
            if line[text] == ">" and depth < MAX_DEPTH:
                self._enter(depth, _QUOTE)
                place = text + 1 + line.startswith(" ", text + 1)
                is_item = False
            elif self._is_heading_or_break(line, text, depth):
                self._close(depth)
                return False
            elif fence := _FENCE.match(line, text):
                self._close(depth)
                self.fence = fence[0]
                return False
            elif depth < MAX_DEPTH and (end := self._marker_end(line, text, depth)):
                first = _after_spaces(line, end)
                # After five spaces or more the item is one space away, and begins with code.
                begin = first if first - end < 5 and first < len(line) else end + 1
                self._enter(depth, begin - place)
                place = min(begin, len(line))
                is_item = True
                self.is_hollow = first == len(line)
            else:
                break
            depth += 1
        if text == len(line):
            is_hollow = self.is_hollow and is_item
            self._close(depth)
            self.is_hollow = is_hollow
            return False
        if depth == len(self.open) or not self.in_paragraph:
            self._close(depth)
            self.in_paragraph = True
        return is_item and line[text] == "["

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

    def _take_code(self, line: str, place: int) -> None:
        """End the fenced code if a line is as long a fence, indented by at most three spaces."""
        text = _after_spaces(line, place)
        rest = line[text:].rstrip(" ")
        if text - place < 4 and rest.startswith(self.fence) and not rest.strip(self.fence[0]):
            self.fence = ""

    def _is_heading_or_break(self, line: str, text: int, depth: int) -> bool:
        mark = line[text]
        if mark == "#":
            return bool(_HEADING.match(line, text))
        if self.in_paragraph and depth == len(self.open) and _UNDERLINE.match(line, text):
            return True
        is_all_marks = mark in "*-_" and len(line.rstrip(f"{mark} ")) <= text
        return is_all_marks and line.count(mark, text) >= 3

    def _marker_end(self, line: str, text: int, depth: int) -> int:
        """Return where the marker of an item ends, 0 if there is none.

        An item that breaks a paragraph off has text, and the number 1 if it has one.
        """
        marker = _MARKER.match(line, text)
        if not marker:
            return 0
        if self.in_paragraph and depth == len(self.open):
            is_blank = _after_spaces(line, marker.end()) == len(line)
            if is_blank or int(marker[1] or 1) != 1:
                return 0
        return marker.end()

    def _enter(self, depth: int, width: int) -> None:
        self._close(depth)
        self.open.append(width)

    def _close(self, depth: int) -> None:
        """End what is open beyond a depth, and what is in that."""
        del self.open[depth:]
        self.in_paragraph = self.is_hollow = False


def _after_spaces(line: str, place: int) -> int:
    spaces = _SPACES.match(line, place)
    assert spaces, "no spaces are spaces too"
    return spaces.end()
