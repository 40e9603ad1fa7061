"""Thumbnails of attached pictures, made in a bounded child process. No ORM, no HTTP, no Django.

What is opened may be made to hurt: tiny files that unpack to gigabytes, that keep a decoder busy
for minutes, or that make it write where it should not. So no decoder runs in the process that asks:
this file is its own child. Run as a script it reads one picture from its standard input, under
limits that it sets before the first byte, and writes the thumbnails to its standard output. It may
therefore import the standard library and Pillow only.
"""

import io
import mmap
import os
import re
import resource
import selectors
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import IO

# Named, though used by registering alone: else Pillow would import all the formats it knows.
from PIL import (
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL.Image import Resampling, Transpose

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
SIGNALS = {
    -signal.SIGXCPU: TOOK_TOO_LONG,
    -signal.SIGALRM: NOT_IN_TIME,
    -signal.SIGKILL: KILLED,
}

# -I: neither the environment nor the folder of this file may say what is imported.
COMMAND = (sys.executable, "-I", os.path.abspath(__file__))
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

# What costs a few bytes of file and much work: a JPEG's scan goes over all pixels (a photo has
# about ten), each of its Exif segments copies those before it, and a PNG's colour profile unpacks
# to a MiB.
MAX_REPEATED = 100
MAX_SEGMENTS = 10_000
SIGNATURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)
# Neither a fill byte, nor a stuffed zero, nor what stands alone: these have no length.
SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
END_OF_IMAGE, START_OF_SCAN, APP1 = b"\xd9", b"\xda", b"\xe1"

LARGEST = max(SIZES)
BAND_ROWS = 256
LENGTH = struct.Struct(">I")
ORIENTATION = 0x0112
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class NotMade(Exception):
    """There are no thumbnails of this file; ``reason`` says why: :func:`make` has those above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def make(path: str | os.PathLike[str]) -> dict[int, bytes]:
    """Return the thumbnails of the picture in a file, as WebP, by each of ``SIZES``.

    The picture is a PNG, JPEG, GIF or WebP of at most ``MAX_PIXELS``; of one that moves, the first
    frame. A thumbnail fits into a square of so many pixels, in the proportions of the picture, and
    is never larger than it. It stands upright by the Exif orientation; transparency stays, all
    metadata goes (a colour profile too: the colours are read as sRGB).

    Takes at most ``PATIENCE_SECONDS``, and one process of ``MAX_MEMORY_BYTES`` that is gone when
    this returns. Whatever is wrong with the picture raises :class:`NotMade` and nothing else; a
    file that cannot be read, or a child that cannot be started, is an :class:`OSError`.
    """
    with (
        open(path, "rb", buffering=0) as file,
        subprocess.Popen(  # noqa: S603 - a constant command; the name of the file is not in it
            COMMAND,
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,  # a group of its own, to be killed as one
        ) as child,
    ):
        try:
            return _unpacked(_answer(child))
        finally:
            if child.poll() is None:  # not reaped yet, so that the number is still its own
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


def _answer(child: "subprocess.Popen[bytes]") -> bytes:
    """Return all that the child writes, when it ends well and in time."""
    until = time.monotonic() + PATIENCE_SECONDS
    output = bytearray()
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while len(output) <= MAX_OUTPUT_BYTES:
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise NotMade(NOT_IN_TIME)
            part = child.stdout.read(2**16)
            if not part:
                break
            output += part
        else:
            raise NotMade(CRASHED)
    try:
        status = child.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise NotMade(NOT_IN_TIME) from None
    if status:
        raise NotMade(REASONS.get(status) or SIGNALS.get(status, CRASHED))
    return bytes(output)


def _unpacked(output: bytes) -> dict[int, bytes]:
    """Return the pictures, each after its length; a child that was taken over may send anything."""
    images, at = {}, 0
    for size in SIZES:
        header = output[at : at + LENGTH.size]
        (length,) = LENGTH.unpack(header) if len(header) == LENGTH.size else (0,)
        at += LENGTH.size + length
        image = output[at - length : at]
        if len(image) < length or not (image.startswith(b"RIFF") and image[8:12] == b"WEBP"):
            raise NotMade(CRASHED)
        images[size] = image
    if at != len(output):
        raise NotMade(CRASHED)
    return images


# From here on it is the child that runs.


def confine() -> None:
    """Bound this process for good: its memory, its time, and that it writes no file."""
    for what, limit in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),  # the pipe is no file
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        # The system kills at the hard limit without a word of why, so that lies a second further.
        above = limit + 1 if what == resource.RLIMIT_CPU and hard != limit else limit
        resource.setrlimit(what, (limit, above))
    signal.alarm(round(PATIENCE_SECONDS) + 1)  # should whoever started it be gone


def thumbnails(file: IO[bytes]) -> list[bytes]:
    """Return the thumbnails of the picture in an open file of the disk, in the order of ``SIZES``.

    Does what :func:`make` says, in this process; raises :class:`NotMade`.
    """
    # Pillow's own check, which also sees frames that are larger than their canvas.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        if _is_laborious(file):
            raise NotMade(NOT_AN_IMAGE)
        file.seek(0)
        return _drawn(file)
    except NotMade:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NotMade(TOO_MANY_PIXELS) from error
    except MemoryError as error:
        raise NotMade(TOO_MUCH_MEMORY) from error
    except Exception as error:
        # Decoders raise what they like: OSError, SyntaxError, struct.error, KeyError.
        raise NotMade(NOT_AN_IMAGE) from error


def _is_laborious(file: IO[bytes]) -> bool:
    """Tell whether the file is no picture by its signature, or made to keep a decoder busy."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not SIGNATURE.match(data):
            return True
        if data[:2] == b"\xff\xd8":
            repeated: Iterator[object] = _costly_segments(data)
        else:
            repeated = re.finditer(rb"iCCP", data) if data[:4] == b"\x89PNG" else iter(())
        return sum(1 for _ in islice(repeated, MAX_REPEATED + 1)) > MAX_REPEATED


def _costly_segments(data: mmap.mmap) -> Iterator[int]:
    """Yield where a JPEG's scans and Exif segments begin; what follows its end is not its own.

    Segment by segment and not by looking for the bytes: a film appended to a photo has them by
    chance, once in 64 KiB.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = SEGMENT.search(data, at)
        if not found or found[1] == END_OF_IMAGE:
            return
        at = found.end()
        if found[1] == START_OF_SCAN or (found[1] == APP1 and data[at + 2 : at + 6] == b"Exif"):
            yield at
        if at + 2 <= len(data):
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    raise NotMade(NOT_AN_IMAGE)


def _drawn(file: IO[bytes]) -> list[bytes]:
    with Image.open(file, formats=FORMATS) as picture:
        original = picture.size
        if original[0] * original[1] > MAX_PIXELS:
            raise NotMade(TOO_MANY_PIXELS)
        picture.draft(None, _fitting(original, LARGEST))  # a JPEG need not be unpacked whole
        picture.load()
        turn = _turn(picture)
        smaller, box = _reduced(picture)
    made: dict[tuple[int, int], bytes] = {}
    for size in SIZES:
        fitting = _fitting(original, size)
        if fitting not in made:
            made[fitting] = _webp(smaller, box, fitting, turn)
    return [made[_fitting(original, size)] for size in SIZES]


def _fitting(original: tuple[int, int], size: int) -> tuple[int, int]:
    """Return the width and height in the same proportions within ``size``, never enlarged."""
    width, height = original
    longest = max(width, height, size)
    return max(1, round(width * size / longest)), max(1, round(height * size / longest))


def _reduced(picture: Image.Image) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Return the picture without metadata, shrunk where it is far larger than ``LARGEST``.

    With it the box of it that is the picture: its last row and column may stand for fewer pixels.
    Band by band: other modes become RGB or RGBA without a second picture of full size in memory.
    Pillow weighs transparent pixels as nothing when it shrinks RGBA, and only that.
    """
    width, height = picture.size
    factor = max(1, max(width, height) // (2 * LARGEST))
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    smaller = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = BAND_ROWS * factor
    for y in range(0, height, rows):
        band = _plain(picture.crop((0, y, width, min(y + rows, height))), mode)
        smaller.paste(band.reduce(factor), (0, y // factor))
    return smaller, (0, 0, width / factor, height / factor)


def _plain(band: Image.Image, mode: str) -> Image.Image:
    if band.mode == "I;16":  # greys of 16 bits, low byte first; convert() would cut them at 255
        band = Image.frombytes("L", band.size, band.tobytes()[1::2])
    return band.convert(mode)


def _turn(picture: Image.Image) -> Transpose | None:
    """Return what makes the picture stand upright; broken Exif data asks for nothing.

    Not by ``getexif()``, which also believes XMP: browsers do not, and the picture would lie
    otherwise than its thumbnail.
    """
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
        return UPRIGHT.get(exif.get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - parsers of Exif raise as freely as decoders
        return None


def _webp(
    smaller: Image.Image,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    turn: Transpose | None,
) -> bytes:
    image = smaller.resize(size, Resampling.LANCZOS, box)
    if turn is not None:
        image = image.transpose(turn)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=QUALITY)
    return content.getvalue()


def main() -> int:
    """Be the child: a picture from the standard input, thumbnails to the standard output."""
    confine()
    try:
        with open(0, "rb", closefd=False) as file:
            images = thumbnails(file)
    except NotMade as error:
        return STATUSES[error.reason]
    with open(1, "wb", closefd=False) as output:
        for image in images:
            output.write(LENGTH.pack(len(image)) + image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
