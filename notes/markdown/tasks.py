"""Tasks: list items that begin with a checkbox (GFM 0.29, section 5.3)."""

import re
from collections.abc import Iterator

from notes.markdown.blocks import blocks

_CHECKBOX = re.compile(r"\[[ xX]\][ \t\v\f]++[^ \t\v\f\r\n]")


class NoSuchTask(ValueError):
    """There is no task of that number; ``count`` is the number of tasks."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The text has {count} tasks.")
        self.count = count


def toggle_task(content: str, number: int) -> str:
    """Return the text with one task toggled between open and done; the first has the number 1.

    A task is a list item that begins with ``[ ]``, ``[x]`` or ``[X]``, a blank and further text, in
    up to 100 nested lists and quotes, not in code or HTML. Exactly one character changes.
    Raises :class:`NoSuchTask`. Takes time in proportion to the text.
    """
    count = 0
    for position in _state_positions(content):
        count += 1
        if count == number:
            state = "x" if content[position] == " " else " "
            return content[:position] + state + content[position + 1 :]
    raise NoSuchTask(count)


def _state_positions(content: str) -> Iterator[int]:
    """Yield the position of the character between the brackets of each task."""
    last = content.rfind("[")
    if last < 0:
        return
    for block in blocks(content, until=last):
        if block.begins_item and _CHECKBOX.match(content, block.start):
            yield block.start + 1
