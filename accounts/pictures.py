"""Pictures of people: from the bytes of an upload to small squares in WebP. No ORM, no HTTP.

What is opened may be made to hurt: tiny files that unpack to gigabytes, or that keep a decoder busy
for minutes. So a picture is measured by its header before it is decoded, one is decoded at a time
in a process, and whatever a decoder says against it means that it is no picture.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from PIL import Image
from PIL.Image import Resampling, Transpose

from cloudnotes.errors import DomainError

SIZES = (64, 256, 512)
CONTENT_TYPE = "image/webp"
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 25_000_000
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
QUALITY = 85
PATIENCE_SECONDS = 7.0

# What costs a few bytes of file and much work, by how the file begins: a JPEG's scan goes over all
# pixels (a photo has about ten; 1,000 took 15 s), each Exif segment copies those before it (250,000
# took 8 s), and a PNG's colour profile unpacks to a MiB (4,700 took 10 s).
REPEATABLE = {b"\xff\xd8": (b"\xff\xda", b"Exif\0\0"), b"\x89P": (b"iCCP",)}
MAX_REPEATED = 100

LARGEST = max(SIZES)
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

# Pillow's own check of the same, which also sees frames that are larger than their canvas.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

_decoding = threading.Lock()


class PictureTooLarge(DomainError):
    """The file is above ``MAX_BYTES``."""

    status = 413
    code = "file_too_large"
    detail = f"A picture has at most {MAX_BYTES} bytes. Send a smaller file."
    field = "avatar"


class TooManyPixels(DomainError):
    """The picture is above ``MAX_PIXELS``."""

    status = 413
    code = "too_many_pixels"
    detail = f"A picture has at most {MAX_PIXELS // 10**6} million pixels. Send a smaller one."
    field = "avatar"


class NotAnImage(DomainError):
    """The bytes are no picture that can be opened whole."""

    code = "not_an_image"
    detail = "This is not a whole PNG, JPEG, GIF or WebP picture. Send another file."
    field = "avatar"


class TooBusy(DomainError):
    """Other pictures are being decoded and that takes long."""

    status = 503
    code = "overloaded"
    detail = "The server is busy with other pictures. Please try again."


def cut(content: IO[bytes]) -> dict[int, bytes]:
    """Return the middle square of a picture by its width in pixels, as WebP, for all ``SIZES``.

    The picture is a PNG, JPEG, GIF (the first frame) or WebP. It is turned upright by its Exif
    orientation; transparency stays, all metadata goes. A smaller picture is made larger.

    Raises :class:`PictureTooLarge`, :class:`TooManyPixels`, :class:`NotAnImage` and
    :class:`TooBusy`.
    """
    content.seek(0)
    data = content.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise PictureTooLarge
    if any(data.count(part) > MAX_REPEATED for part in REPEATABLE.get(data[:2], ())):
        raise NotAnImage
    if not _decoding.acquire(timeout=PATIENCE_SECONDS):
        raise TooBusy
    try:
        with _refusals_named():
            square = _upright_square(data)
            return {size: _webp(square, size) for size in SIZES}
    finally:
        _decoding.release()


def _upright_square(data: bytes) -> Image.Image:
    """Return the middle of a picture as RGB or premultiplied RGBa, without metadata."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise TooManyPixels
        picture.draft(None, (LARGEST, LARGEST))  # a JPEG need not be unpacked to its full size
        picture.load()
        square = _middle(picture)
        turn = _turn(picture)
        return square if turn is None else square.transpose(turn)


def _middle(picture: Image.Image) -> Image.Image:
    """Return the middle square, already shrunk where it is far larger than ``LARGEST``.

    Band by band: other modes become RGB, and transparent pixels are weighed as nothing, without a
    second picture of full size in memory.
    """
    side = min(picture.size)
    factor = max(1, side // (2 * LARGEST))
    side -= side % factor
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    mode = "RGBa" if picture.has_transparency_data else "RGB"
    square = Image.new(mode, (side // factor, side // factor))
    rows = BAND_ROWS * factor
    for y in range(0, side, rows):
        box = (left, top + y, left + side, top + min(y + rows, side))
        square.paste(_plain(picture.crop(box), mode).reduce(factor), (0, y // factor))
    return square


def _plain(band: Image.Image, mode: str) -> Image.Image:
    if band.mode == "I;16":  # greys of 16 bits, low byte first; convert() would cut them at 255
        band = Image.frombytes("L", band.size, band.tobytes()[1::2])
    return band.convert("RGBA").convert(mode) if mode == "RGBa" else band.convert(mode)


def _turn(picture: Image.Image) -> Transpose | None:
    """Return what makes the picture stand upright; broken Exif data asks for nothing."""
    try:
        return UPRIGHT.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - parsers of Exif raise as freely as decoders
        return None


def _webp(square: Image.Image, size: int) -> bytes:
    small = square.resize((size, size), Resampling.LANCZOS)
    if small.mode == "RGBa":
        small = small.convert("RGBA")
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


@contextmanager
def _refusals_named() -> Iterator[None]:
    try:
        yield
    except DomainError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels from error
    except Exception as error:
        # Decoders raise what they like: OSError, SyntaxError, struct.error, KeyError, MemoryError.
        raise NotAnImage from error
