"""Pictures that tests draw, and files that claim to be some."""

import io
import struct
import zlib

from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, *, depth=8, colour=2, chunks=b"", data=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + chunks + body


def black(width, height):
    """Return a whole PNG of one bit a pixel."""
    return png(width, height, depth=1, colour=0, data=bytes((1 + -(-width // 8)) * height))


def webp_of_claimed_size(width, height):
    data = bytearray(encoded(Image.new("RGB", (40, 40), RED), "WEBP", lossless=True))
    start = data.index(b"VP8L") + 9
    (bits,) = struct.unpack("<I", data[start : start + 4])
    bits = bits & ~0xFFFFFFF | (width - 1) | (height - 1) << 14
    data[start : start + 4] = struct.pack("<I", bits)
    return bytes(data)
