"""Small edits of any text: append, prepend and replace."""

MAX_COUNTED = 100


class NotExactlyOnce(ValueError):
    """The text to replace does not occur exactly once but ``count`` times (counted up to 100)."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The text occurs {count} times.")
        self.count = count


def append(content: str, text: str) -> str:
    """Return the content with a text on a new line at its end."""
    return content + _line_end(content) + text


def prepend(content: str, text: str) -> str:
    """Return the content with a text on a line of its own before it."""
    return text + (_line_end(text) if content else "") + content


def replace_once(content: str, old: str, new: str) -> str:
    """Return the content with ``new`` in place of the only occurrence of ``old``.

    Raises :class:`NotExactlyOnce`, also for occurrences that overlap ("aa" is twice in "aaa"), and
    with the count 0 for an empty ``old``. Each of the at most 100 searches takes time in proportion
    to the content; only the first two are needed for the result, the others for the error.
    """
    count, position, start = 0, -1, 0
    while old and count < MAX_COUNTED and (start := content.find(old, start)) >= 0:
        count, position, start = count + 1, start, start + 1
    if count != 1:
        raise NotExactlyOnce(count)
    return content[:position] + new + content[position + len(old) :]


def _line_end(text: str) -> str:
    return "\n" if text and not text.endswith("\n") else ""
