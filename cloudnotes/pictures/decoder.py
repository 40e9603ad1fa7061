"""Decodes a picture: the child process that :mod:`cloudnotes.pictures.renditions` starts.

It reads one picture from its standard input, under limits that it sets before the first byte, and
writes the images to its standard output. It imports the standard library, Pillow and
:mod:`cloudnotes.pictures.protocol` only.
"""

import io
import json
import mmap
import re
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import IO

# Imported only to register the formats: otherwise Pillow would import all formats it knows.
from PIL import (
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL.Image import Resampling, Transpose

from cloudnotes.pictures.protocol import (
    FORMATS,
    LENGTH,
    MAX_MEMORY_BYTES,
    NOT_AN_IMAGE,
    STATUSES,
    TOO_MANY_PIXELS,
    TOO_MUCH_MEMORY,
    NotMade,
    Spec,
)

# Limit of parts that are small in the file but cost much work: each scan of a JPEG goes over all
# pixels (a photo has about ten scans), each Exif segment copies those before it, and a PNG's colour
# profile unpacks to a MiB.
MAX_REPEATED = 100
MAX_SEGMENTS = 10_000
SIGNATURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)
# Not a fill byte, a stuffed zero or a marker that stands alone: those have no length.
SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
END_OF_IMAGE, START_OF_SCAN, APP1 = b"\xd9", b"\xda", b"\xe1"

BAND_ROWS = 256
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


def confine(*, cpu_seconds: int, seconds: int) -> None:
    """Limit this process permanently: its memory and its time; it may write no file."""
    for resource_kind, limit in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),  # the pipe is no file
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(resource_kind)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        # The signal of the soft limit names the reason, SIGKILL at the hard limit (1 s later) not.
        hard_limit = limit + 1 if resource_kind == resource.RLIMIT_CPU and hard != limit else limit
        resource.setrlimit(resource_kind, (limit, hard_limit))
    signal.alarm(seconds)


def decode(file: IO[bytes], spec: Spec) -> list[bytes]:
    """Return the images of the picture in an open file on disk, in the order of their sizes.

    The result is that of :func:`cloudnotes.pictures.renditions.make`, but in this process. Raises
    :class:`NotMade`.
    """
    # Pillow's own check, which also sees frames that are larger than their canvas.
    Image.MAX_IMAGE_PIXELS = spec.max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        if _is_laborious(file):
            raise NotMade(NOT_AN_IMAGE)
        file.seek(0)
        return _drawn(file, spec)
    except NotMade:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NotMade(TOO_MANY_PIXELS) from error
    except MemoryError as error:
        raise NotMade(TOO_MUCH_MEMORY) from error
    except Exception as error:
        # Decoders raise any exception: OSError, SyntaxError, struct.error, KeyError.
        raise NotMade(NOT_AN_IMAGE) from error


def _is_laborious(file: IO[bytes]) -> bool:
    """Return whether the file has no picture's signature, or is made to keep a decoder busy."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not SIGNATURE.match(data):
            return True
        if data[:2] == b"\xff\xd8":
            repeated: Iterator[object] = _costly_segments(data)
        else:
            repeated = re.finditer(rb"iCCP", data) if data[:4] == b"\x89PNG" else iter(())
        return sum(1 for _ in islice(repeated, MAX_REPEATED + 1)) > MAX_REPEATED


def _costly_segments(data: mmap.mmap) -> Iterator[int]:
    """Yield where a JPEG's scans and Exif segments begin; ignore bytes after the end of the image.

    It goes from segment to segment and does not search the bytes: in a video that is appended to a
    photo they occur by chance, once in 64 KiB.
    """
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker = SEGMENT.search(data, position)
        if not marker or marker[1] == END_OF_IMAGE:
            return
        position = marker.end()
        if marker[1] == START_OF_SCAN or (
            marker[1] == APP1 and data[position + 2 : position + 6] == b"Exif"
        ):
            yield position
        if position + 2 <= len(data):
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    raise NotMade(NOT_AN_IMAGE)


def _drawn(file: IO[bytes], spec: Spec) -> list[bytes]:
    largest = max(spec.sizes)
    with Image.open(file, formats=FORMATS) as picture:
        original = picture.size
        if original[0] * original[1] > spec.max_pixels:
            raise NotMade(TOO_MANY_PIXELS)
        picture.draft(None, _target(original, largest, spec))  # a JPEG can unpack smaller
        picture.load()
        turn = _turn(picture)
        smaller, box = _reduced(picture, _region(picture.size, spec), largest)
    images_by_size: dict[tuple[int, int], bytes] = {}
    for size in spec.sizes:
        target = _target(original, size, spec)
        if target not in images_by_size:
            images_by_size[target] = _webp(smaller, box, target, turn, spec.quality)
    return [images_by_size[_target(original, size, spec)] for size in spec.sizes]


def _target(original: tuple[int, int], size: int, spec: Spec) -> tuple[int, int]:
    """Return the width and height of an image."""
    if spec.is_square:
        return size, size
    width, height = original
    longest = max(width, height, size)
    return max(1, round(width * size / longest)), max(1, round(height * size / longest))


def _region(size: tuple[int, int], spec: Spec) -> tuple[int, int, int, int]:
    """Return the part of a picture that is shown: left, upper, right and lower edge."""
    width, height = size
    if not spec.is_square:
        return 0, 0, width, height
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _reduced(
    picture: Image.Image, region: tuple[int, int, int, int], largest: int
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Return a region without metadata, reduced if it is far larger than ``largest`` pixels.

    Returned with it is the box of the region in the result: the last row and column may stand for
    fewer pixels. It works in bands: other modes become RGB or RGBA without a second picture of full
    size in memory. Pillow ignores transparent pixels when it reduces RGBA, and only then.
    """
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    factor = max(1, max(width, height) // (2 * largest))
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    smaller = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = BAND_ROWS * factor
    for y in range(top, bottom, rows):
        band = _plain(picture.crop((left, y, right, min(y + rows, bottom))), mode)
        smaller.paste(band.reduce(factor), (0, (y - top) // factor))
    return smaller, (0, 0, width / factor, height / factor)


def _plain(band: Image.Image, mode: str) -> Image.Image:
    if band.mode == "I;16":  # greys of 16 bits, low byte first; convert() would cut them at 255
        band = Image.frombytes("L", band.size, band.tobytes()[1::2])
    return band.convert(mode)


def _turn(picture: Image.Image) -> Transpose | None:
    """Return the turn that makes the picture upright; None for broken Exif data.

    Not by ``getexif()``, which also reads XMP: browsers do not, so they would show the original
    and its images with different orientations.
    """
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
        return UPRIGHT.get(exif.get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - parsers of Exif raise any exception too
        return None


def _webp(
    smaller: Image.Image,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    turn: Transpose | None,
    quality: int,
) -> bytes:
    image = smaller.resize(size, Resampling.LANCZOS, box)
    if turn is not None:
        image = image.transpose(turn)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=quality)
    return content.getvalue()


def main() -> int:
    """Run as the child process: read a picture from stdin and write its images to stdout.

    The arguments are the fields of the :class:`Spec` in JSON, and the time limit in seconds.
    """
    spec = Spec(*json.loads(sys.argv[1]))
    confine(cpu_seconds=spec.max_cpu_seconds, seconds=int(sys.argv[2]))
    try:
        with open(0, "rb", closefd=False) as file:
            images = decode(file, spec)
    except NotMade as error:
        return STATUSES[error.reason]
    with open(1, "wb", closefd=False) as output:
        for image in images:
            output.write(LENGTH.pack(len(image)) + image)
    return 0
