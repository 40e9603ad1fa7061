"""What the decoder of pictures and the process that starts it agree on.

Both import this module, so it imports the standard library alone, and of that what loads quickly.
"""

import struct
from typing import NamedTuple

CONTENT_TYPE = "image/webp"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")

MAX_MEMORY_BYTES = 2**30  # of address space
MAX_OUTPUT_BYTES = 16 * 2**20  # three pictures of a hundredth of that are usual

TOO_MANY_PIXELS = "too many pixels"
NOT_AN_IMAGE = "not an image"
TOO_MUCH_MEMORY = "too much memory"
TOOK_TOO_LONG = "took too long"
CRASHED = "crashed"
NOT_IN_TIME = "not in time"
KILLED = "killed"

# What may be the fault of a busy machine: its time is over without that of the processor, or the
# system has killed it for want of memory.
PASSING = (NOT_IN_TIME, KILLED)

# How the child says why not; 1 and 2 are Python's own words for a crash.
REASONS = {3: TOO_MANY_PIXELS, 4: NOT_AN_IMAGE, 5: TOO_MUCH_MEMORY}
STATUSES = {reason: status for status, reason in REASONS.items()}

LENGTH = struct.Struct(">I")


class Spec(NamedTuple):
    """Which images are made of a picture, and what it may cost to decode it.

    With ``is_square`` an image is the middle square of the picture, ``size`` pixels wide, enlarged
    if need be. Otherwise it is the whole picture in its proportions, at most ``size`` pixels wide
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
