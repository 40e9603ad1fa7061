"""Links to files inside Markdown: stable as they are kept, signed as they are shown.

No ORM, no HTTP.
"""

import re
from collections.abc import Callable, Iterator

SHOWN = "/files/"  # what addresses begin with that are made to be shown
# With or without scheme and host; what follows is not part of a longer path.
_STABLE = re.compile(
    r"(?P<root>https?://[^\s/()<>\"'\\]{1,300})?"
    r"/api/v1/notes/(?P<note>\d{1,18})/attachments/(?P<file>\d{1,18})"
    r"(?:\?inline=1)?(?![\w/?&%-])",
    re.ASCII,
)
_SHOWN = re.compile(r"/files/(?P<token>[\w:-]{20,2000})(?![\w/?&%])", re.ASCII)


def find(content: str, *, root: str) -> Iterator[tuple[int, int]]:
    """Yield note and attachment of the links to files of the service at ``root``."""
    for found in _STABLE.finditer(content):
        if found["root"] in (None, root):
            yield int(found["note"]), int(found["file"])


def show(content: str, *, root: str, address: Callable[[int, int], str | None]) -> str:
    """Return a text whose links to files lead to what ``address`` says of note and attachment.

    Links for which it says None, and those to other services, stay as they are. Takes time in
    proportion to the text.
    """

    def shown(found: re.Match[str]) -> str:
        if found["root"] not in (None, root):
            return found[0]
        return address(int(found["note"]), int(found["file"])) or found[0]

    return _STABLE.sub(shown, content)


def keep(content: str, *, read: Callable[[str], tuple[int, int] | None]) -> str:
    """Return a text in which addresses that :func:`show` has put in are stable links again.

    ``read`` says note and attachment of a token, None of what is none of ours.
    """
    if SHOWN not in content:
        return content

    def kept(found: re.Match[str]) -> str:
        said = read(found["token"])
        return f"/api/v1/notes/{said[0]}/attachments/{said[1]}" if said else found[0]

    return _SHOWN.sub(kept, content)
