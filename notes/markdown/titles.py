"""A title for a text that has none."""

import re

# The marks of headings, quotes, lists and tasks at the beginning of a line (CommonMark 0.31, 4.2,
# 5.1, 5.2; GFM 5.3).
_MARKS = re.compile(r"(?:[#>*+-]{1,6}[ \t]+|\d{1,9}[.)][ \t]+|\[[ xX]\][ \t]+|>)*")
_BLANKS = re.compile(r"\s+")


def title_of(content: str, *, at_most: int) -> str:
    """Return the first line that has text, without its marks; ``''`` if no line has any.

    It has at most ``at_most`` characters and ends with a whole word if there is a blank.
    """
    for line in content.splitlines():
        text = _BLANKS.sub(" ", line[_marks_end(line) :]).strip()
        if text and not set(text) <= set("#>*+-=_`~ "):
            if len(text) <= at_most:
                return text
            cut = text[: at_most + 1].rpartition(" ")[0]
            return cut or text[:at_most]
    return ""


def _marks_end(line: str) -> int:
    start = len(line) - len(line.lstrip())
    match = _MARKS.match(line, start)
    return match.end() if match else start
