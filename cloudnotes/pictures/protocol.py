"""The protocol between the decoder of pictures and the process that starts it.

Both import this module, so it imports only modules of the standard library that load quickly.
"""

import struct
from typing import NamedTuple

CONTENT_TYPE = "image/webp"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")

MAX_MEMORY_BYTES = 2**30  # of address space
MAX_OUTPUT_BYTES = 16 * 2**20  # usual are three pictures of a hundredth of that

TOO_MANY_PIXELS = "too many pixels"
NOT_AN_IMAGE = "not an image"
TOO_MUCH_MEMORY = "too much memory"
TOOK_TOO_LONG = "took too long"
CRASHED = "crashed"
NOT_IN_TIME = "not in time"
KILLED = "killed"

# Reasons that a busy machine may cause: the time ended before the CPU time did, or the system has
# killed the process because memory was short.
PASSING = (NOT_IN_TIME, KILLED)

# The exit statuses of the child; Python itself uses 1 and 2 for a crash.
REASONS = {3: TOO_MANY_PIXELS, 4: NOT_AN_IMAGE, 5: TOO_MUCH_MEMORY}
STATUSES = {reason: status for status, reason in REASONS.items()}

LENGTH = struct.Struct(">I")


class Spec(NamedTuple):
    """The images to make of a picture, and the limits for decoding it.

    With ``is_square`` an image is the middle square of the picture, ``size`` pixels wide, enlarged
    if need be. Otherwise it is the whole picture with its proportions, at most ``size`` pixels wide
    and high, and never enlarged.
    """

    sizes: tuple[int, ...]
    is_square: bool
    quality: int  # of WebP, 0 to 100
    max_pixels: int
    max_cpu_seconds: int


class NotMade(Exception):
    """There are no images of this file; ``reason`` is one of the texts above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
