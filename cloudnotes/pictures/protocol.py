"""What the decoder of pictures and the process that starts it agree on.

Both import this module, so it imports the standard library alone, and of that what loads quickly.
"""

import struct

SIZES = (96, 320, 1024)
CONTENT_TYPE = "image/webp"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
QUALITY = 80
MAX_PIXELS = 50_000_000

PATIENCE_SECONDS = 15.0
MAX_CPU_SECONDS = 10
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


class NotMade(Exception):
    """There are no thumbnails of this file; ``reason`` says why: they stand above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
