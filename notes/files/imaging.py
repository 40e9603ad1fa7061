"""Width and height of a picture from the first bytes of its file; decodes nothing.

No ORM, no HTTP.
"""

import struct
import zlib

LARGEST = 2**31 - 1

# JPEG markers, ITU-T T.81 table B.1. C4, C8 and CC are in this range but are no frame headers.
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
END_OF_IMAGE, START_OF_SCAN, APP1 = 0xD9, 0xDA, 0xE1
ORIENTATION, SHORT = 0x0112, 3
ON_ITS_SIDE = range(5, 9)
PNG = b"\x89PNG\r\n\x1a\n"
WEBP_HAS_EXIF = 0x08  # a flag of VP8X


def dimensions(start: bytes, end: bytes | None = None) -> tuple[int, int] | None:
    """Return the width and height in pixels that the header of a picture names.

    ``start`` is the first bytes of a file, ``end`` its last ones (None: the same); 256 KiB and
    64 KiB are enough, and the time is linear in them. Formats are PNG (W3C PNG, 5.2 and 11.2.1),
    GIF (GIF89a, 18: the logical screen), WebP (RFC 9649, 2.5 to 2.7 and 3.4; RFC 6386, 9.1 for VP8)
    and JPEG (ITU-T T.81, B.1.1 and B.2.2). The size is as the picture is displayed: swapped if its
    Exif orientation is 5 to 8 (Exif 2.32, 4.6.4 and 4.7.2; W3C PNG, 11.3.3.5).

    Returns None for another format, for a broken header, for a size that comes after these bytes or
    after the header (a JPEG of 0 lines), and for a side of 0 or above 2**31-1. Accepts any bytes
    and raises nothing. The rest of the file may still be impossible to decode.
    """
    try:
        size = _named(start, start if end is None else end)
    except struct.error:  # the bytes end before the size
        return None
    return size if size and all(0 < side <= LARGEST for side in size) else None


def _named(start: bytes, end: bytes) -> tuple[int, int] | None:
    if start.startswith(PNG) and start[12:16] == b"IHDR":
        return _displayed(_pair(">II", start, 16), _exif_of_png(start, end))
    if start.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", start, 6)
    if start.startswith(b"\xff\xd8"):
        return _of_jpeg(start)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return _of_webp(start, end)
    return None


def _displayed(size: tuple[int, int], exif: bytes) -> tuple[int, int]:
    return size[::-1] if _orientation(exif) in ON_ITS_SIDE else size


def _exif_of_png(start: bytes, end: bytes) -> bytes:
    """Return the block of the chunk ``eXIf``, which is before the pixels or after them."""
    at = len(PNG)
    while at + 8 <= len(start):
        length, kind = struct.unpack_from(">I4s", start, at)
        if kind == b"eXIf":
            return start[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            break
        at += 12 + length  # length, kind and checksum have four bytes each
    at = end.rfind(b"eXIf")
    if at < 4:
        return b""
    (length,) = struct.unpack_from(">I", end, at - 4)
    chunk, checksum = end[at : at + 4 + length], end[at + 4 + length : at + 8 + length]
    return chunk[4:] if checksum == struct.pack(">I", zlib.crc32(chunk)) else b""


def _exif_of_webp(end: bytes) -> bytes:
    """Return the block of the chunk ``EXIF``, which is the last one or before ``XMP``."""
    at = end.rfind(b"EXIF")
    if at < 0 or at + 8 > len(end):
        return b""
    (length,) = struct.unpack_from("<I", end, at + 4)
    after = at + 8 + length + length % 2
    is_chunk = after == len(end) or end.startswith(b"XMP ", after)
    return end[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0") if is_chunk else b""


def _of_webp(start: bytes, end: bytes) -> tuple[int, int] | None:
    if start[12:16] == b"VP8 " and start[23:26] == b"\x9d\x01\x2a":
        width, height = _pair("<HH", start, 26)
        return width & 0x3FFF, height & 0x3FFF  # the upper two bits ask for upscaling
    if start[12:16] == b"VP8L" and start[20:21] == b"\x2f":
        (bits,) = struct.unpack_from("<I", start, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if start[12:16] == b"VP8X":
        low, high, low_too, high_too = struct.unpack_from("<HBHB", start, 24)
        size = (high << 16 | low) + 1, (high_too << 16 | low_too) + 1
        return _displayed(size, _exif_of_webp(end)) if start[20] & WEBP_HAS_EXIF else size
    return None


def _of_jpeg(start: bytes) -> tuple[int, int] | None:
    """Read the segments up to the frame header, each by its length; skip other bytes."""
    at, orientation = 2, None
    while (at := start.find(b"\xff", at)) >= 0:
        (marker,) = struct.unpack_from("B", start, at + 1)
        if marker == 0xFF:  # a fill byte: any number of them may precede a marker
            at += 1
        elif marker == 0 or marker in STANDALONE:
            at += 2
        elif marker in FRAME_HEADERS:
            height, width = _pair(">HH", start, at + 5)
            return (height, width) if orientation in ON_ITS_SIDE else (width, height)
        elif marker in (START_OF_SCAN, END_OF_IMAGE):
            return None
        else:
            (length,) = struct.unpack_from(">H", start, at + 2)
            if marker == APP1 and orientation is None and start.startswith(b"Exif\0\0", at + 4):
                orientation = _orientation(start[at + 10 : at + 2 + length])
            at += 2 + length  # which counts its own two bytes
    return None


def _orientation(tiff: bytes) -> int:
    """Return the orientation in the first directory of an Exif block; 1 when it is broken."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if (tag, kind, values) == (ORIENTATION, SHORT, 1):
                return int(value)
    except struct.error:
        pass
    return 1


def _pair(layout: str, start: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, start, at)
    return first, second
