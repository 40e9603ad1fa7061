"""Parse byte ranges of requests (RFC 9110, 14.1.2). No ORM, no HTTP objects."""

import re

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


class Unsatisfiable(ValueError):
    """The range is outside of the file."""


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the start and the end (exclusive) of the one range in a header.

    None means the whole file: without a header, and for several ranges, other units and malformed
    headers, all of which a server may ignore. Raises :class:`Unsatisfiable`.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:  # a suffix range: the last N bytes
        length = min(int(match[2]), size)
        if length == 0:
            raise Unsatisfiable
        return size - length, size
    start, last = int(match[1]), int(match[2] or size)
    if match[2] and last < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(last + 1, size)
