"""What headers of pictures name: as Pillow reads them, and never an error whatever the bytes."""

import io
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from notes.files import imaging

MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "GIF": ["1", "L", "P"],
    "WEBP": ["RGB", "RGBA"],
}
KINDS = [(file_format, mode) for file_format, modes in MODES.items() for mode in modes]
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def blank(size, mode="RGB"):
    return Image.new(mode, size)


def oriented(orientation):
    exif = Image.Exif()
    exif[0x010E] = "An entry before it"
    exif[imaging.ORIENTATION] = orientation
    return exif


SAMPLES = {
    "PNG": encoded(blank((30, 20)), "PNG"),
    "JPEG": encoded(blank((30, 20)), "JPEG"),
    "progressive": encoded(blank((30, 20)), "JPEG", progressive=True, exif=oriented(1)),
    "GIF": encoded(blank((30, 20), "P"), "GIF"),
    "lossy": encoded(blank((30, 20)), "WEBP"),
    "lossless": encoded(blank((30, 20), "RGBA"), "WEBP", lossless=True),
    "extended": encoded(blank((30, 20)), "WEBP", exif=oriented(1)),
}


@pytest.mark.parametrize(("file_format", "mode"), KINDS)
@settings(max_examples=20)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_every_format_and_mode_as_pillow_reads_them(file_format, mode, size):
    data = encoded(blank(size, mode), file_format)
    assert imaging.dimensions(data) == Image.open(io.BytesIO(data)).size == size


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_png_and_webp_are_turned_as_they_are_displayed(file_format, orientation):
    displayed = (20, 30) if orientation in range(5, 9) else (30, 20)
    data = encoded(blank((30, 20)), file_format, exif=oriented(orientation))
    assert imaging.dimensions(data) == displayed
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == displayed
    # The block may come after the pixels, beyond the first bytes.
    if file_format == "PNG":
        at = data.index(b"eXIf") - 4
        (length,) = struct.unpack_from(">I", data, at)
        chunk, rest = data[at : at + 12 + length], data[:at] + data[at + 12 + length :]
        end = rest.index(b"IEND") - 4
        data = rest[:end] + chunk + rest[end:]
        assert imaging.dimensions(data) == displayed
    half = data.index(b"IDAT" if file_format == "PNG" else b"VP8 ") + 8
    assert imaging.dimensions(data[:half], data[half:]) == displayed


@pytest.mark.parametrize("size", [(1, 1), (1, 16383), (16383, 1), (257, 255)])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": oriented(1)}])
def test_the_edges_of_webp(size, options):
    assert imaging.dimensions(encoded(blank(size), "WEBP", **options)) == size


def test_what_moves_has_the_size_of_its_canvas():
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "green")]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        assert imaging.dimensions(data) == (50, 40)


def test_the_upscaling_bits_of_webp_are_no_part_of_the_size():
    data = bytearray(SAMPLES["lossy"])
    data[27] |= 0x40
    data[29] |= 0x80
    assert imaging.dimensions(bytes(data)) == (30, 20)


@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_has_the_size_of_what_is_displayed(orientation):
    data = encoded(blank((30, 20)), "JPEG", exif=oriented(orientation))
    assert imaging.dimensions(data) == ((20, 30) if orientation in range(5, 9) else (30, 20))


def tiff(order, *entries):
    directory = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHIHH", tag, kind, count, value, 0)
        for tag, kind, count, value in entries
    )
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8) + directory


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_exif(*blocks):
    segments = b"".join(segment(0xE1, b"Exif\0\0" + block) for block in blocks)
    return SAMPLES["JPEG"][:2] + segments + SAMPLES["JPEG"][2:]


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders(order):
    assert imaging.dimensions(with_exif(tiff(order, (imaging.ORIENTATION, 3, 1, 6)))) == (20, 30)


def test_the_first_exif_block_decides():
    lying = tiff("<", (imaging.ORIENTATION, 3, 1, 6))
    standing = tiff("<", (imaging.ORIENTATION, 3, 1, 1))
    assert imaging.dimensions(with_exif(lying, standing)) == (20, 30)
    assert imaging.dimensions(with_exif(standing, lying)) == (30, 20)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"nonsense",
        b"MM\0*\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08",
        b"MM\0*\0\0\0\x08\xff\xff",
        tiff("<"),
        tiff("<", (imaging.ORIENTATION, 4, 1, 6)),
        tiff("<", (imaging.ORIENTATION, 3, 9, 6)),
        tiff("<", (imaging.ORIENTATION, 3, 1, 6))[:-5],
    ],
)
def test_broken_exif_asks_for_nothing(block):
    assert imaging.dimensions(with_exif(block)) == (30, 20)


def test_a_jpeg_whose_frame_lies_behind_large_segments():
    head, rest = SAMPLES["progressive"][:2], SAMPLES["progressive"][2:]
    # Markers of a frame and of a scan within a segment are its content.
    large = segment(0xE1, b"Exif\0\0" + SAMPLES["JPEG"] + b"\xff\xc0\xff\xda" * 15_000)
    assert imaging.dimensions(head + large * 3 + rest) == (30, 20)
    assert imaging.dimensions((head + large * 5 + rest)[: 2**18]) is None


fills = st.sampled_from([b"", b"\xff", b"\xff\xff\xff"])
parts_before = st.one_of(
    st.sampled_from([b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff\0", b"\0", b"stray"]),
    st.builds(
        lambda fill, marker, content: fill + segment(marker, b"." + content),
        fills,
        st.sampled_from([0xC4, 0xC8, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE]),
        st.binary(max_size=40),
    ),
)
frames = st.sampled_from([0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCF])
sides = st.integers(1, 65535)


@given(st.lists(parts_before, max_size=8), fills, frames, sides, sides)
def test_whatever_comes_before_the_frame(parts, fill, marker, width, height):
    frame = segment(marker, struct.pack(">BHHB", 8, height, width, 0))
    data = b"\xff\xd8" + b"".join(parts) + fill + frame
    assert imaging.dimensions(data) == (width, height)


def test_a_jpeg_without_a_frame_before_its_scan_or_end():
    frame = segment(0xC0, struct.pack(">BHHB", 8, 20, 30, 0))
    for marker in (0xDA, 0xD9):
        assert imaging.dimensions(b"\xff\xd8" + segment(marker, b"") + frame) is None


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ((2**31 - 1, 1), True),
        ((1, 2**31 - 1), True),
        ((2**31, 1), False),
        ((1, 2**32 - 1), False),
        ((0, 1), False),
        ((1, 0), False),
    ],
)
def test_the_limits_of_a_size(size, found):
    assert imaging.dimensions(PNG_START + struct.pack(">II", *size)) == (size if found else None)


def test_sizes_of_zero_in_the_other_formats():
    assert imaging.dimensions(b"GIF89a" + struct.pack("<HH", 0, 9)) is None
    assert imaging.dimensions(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\0\0\1\0") is None
    lines_come_later = segment(0xC0, struct.pack(">BHHB", 8, 0, 30, 0))
    assert imaging.dimensions(b"\xff\xd8" + lines_come_later) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"BM" + bytes(60)],
)
def test_other_files_have_none(data):
    assert imaging.dimensions(data) is None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_ends_at_any_byte_names_its_size_or_none(name):
    data = SAMPLES[name]
    found = [imaging.dimensions(data[:length]) for length in range(len(data) + 1)]
    assert found == sorted(found, key=bool)  # none up to some byte, the same from there on
    assert set(found) == {None, (30, 20)}


def is_fine(found):
    return found is None or all(0 < side < 2**31 for side in found)


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bits(name):
    chance = random.Random(7)
    for _ in range(500):
        data = bytearray(SAMPLES[name])
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(min(len(data), 400))] ^= 1 << chance.randrange(8)
        assert is_fine(imaging.dimensions(bytes(data)))


STARTS = [
    b"",
    PNG_START,
    b"GIF89a",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8L",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"\xff\xd8\xff",
    b"\xff\xd8\xff\xe1\x01\0Exif\0\0MM\0*",
    b"\xff\xd8\xff\xe1\x01\0Exif\0\0II*\0\x08\0\0\0",
]


@settings(max_examples=500)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_any_bytes(start, rest):
    assert is_fine(imaging.dimensions(start + rest))


@pytest.mark.parametrize(
    "part",
    [
        b"\xff",
        b"\0",
        b"\xff\0",
        b"\xff\xe1\0\0",
        b"\xff\xe1\0\x02",
        segment(0xE1, b"Exif\0\0"),
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 9),
    ],
)
def test_much_of_little_has_an_end(part):
    data = b"\xff\xd8" + part * (2**18 // len(part))
    assert imaging.dimensions(data) is None
