"""Tasks: the items of lists that begin with a checkbox (GFM 0.29, section 5.3)."""

import re
from collections.abc import Iterator

from notes.markdown.blocks import blocks

_CHECKBOX = re.compile(r"\[[ xX]\][ \t\v\f]++[^ \t\v\f\r\n]")


class NoSuchTask(ValueError):
    """There is no task of that number; ``count`` says how many there are."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The text has {count} tasks.")
        self.count = count


def toggle_task(content: str, number: int) -> str:
    """Return a text in which the task of a number, from 1, is done if it was open, or open again.

    A task is a list item that begins with ``[ ]``, ``[x]`` or ``[X]``, a blank and something else,
    at any depth of lists and quotes up to 100, not in code or HTML. Exactly one character changes.
    Raises :class:`NoSuchTask`. Takes time in proportion to the text.
    """
    count = 0
    for position in _states(content):
        count += 1
        if count == number:
            state = "x" if content[position] == " " else " "
            return content[:position] + state + content[position + 1 :]
    raise NoSuchTask(count)


def _states(content: str) -> Iterator[int]:
    """Yield where the character between the brackets of each task is."""
    last = content.rfind("[")
    if last < 0:
        return
    for block in blocks(content, until=last):
        if block.begins_item and _CHECKBOX.match(content, block.start):
            yield block.start + 1
