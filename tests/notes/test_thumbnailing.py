"""Thumbnails: what becomes of good pictures, and that bad ones are refused and nothing worse."""

import io
import random
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from cloudnotes.pictures import decoder, protocol
from notes.files import imaging, thumbnailing
from tests.pictures import BLUE, GREEN, RED, WHITE, black, chunk, encoded, png, webp_of_claimed_size

pytestmark = pytest.mark.service

QUARTERS = (RED, GREEN, BLUE, WHITE)
REASONS = {
    "too many pixels", "not an image", "too much memory", "took too long", "crashed",
    "not in time", "killed",
}  # fmt: skip


def drawn(size=(300, 200), mode="RGB"):
    """Return a picture of four colours: red and green above, blue and white below."""
    image = Image.new("RGB", (2, 2))
    image.putdata(QUARTERS)
    return image.resize(size, Image.Resampling.NEAREST).convert(mode)


def quarters(image):
    image = image.convert("RGB")
    return [
        image.getpixel((image.width * x // 4, image.height * y // 4))
        for y in (1, 3)
        for x in (1, 3)
    ]


def near(pixel, colour, tolerance=40):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def shows(image, colours=QUARTERS):
    return all(map(near, quarters(image), colours))


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


SAMPLES = {
    "PNG": encoded(drawn(), "PNG"),
    "JPEG": encoded(drawn(), "JPEG"),
    "progressive": encoded(drawn(), "JPEG", progressive=True),
    "GIF": encoded(drawn(mode="P"), "GIF"),
    "WEBP": encoded(drawn(), "WEBP"),
    "lossless": encoded(drawn(mode="RGBA"), "WEBP", lossless=True),
    "several": encoded(drawn(), "MPO", save_all=True, append_images=[drawn((90, 60))]),
}


@pytest.fixture
def made(tmp_path):
    """Return a function that makes the thumbnails of bytes, as Pillow reads them."""

    def make(data):
        path = tmp_path / "picture"
        path.write_bytes(data)
        images = thumbnailing.make(path)
        assert list(images) == list(thumbnailing.SIZES)
        opened = {}
        for size, image in images.items():
            with Image.open(io.BytesIO(image)) as picture:
                picture.load()
                assert (picture.format, getattr(picture, "n_frames", 1)) == ("WEBP", 1)
                opened[size] = picture
        return opened

    return make


@pytest.fixture
def refused(tmp_path):
    """Return a function that gives the reason why there are no thumbnails of bytes."""

    def reason(data):
        path = tmp_path / "picture"
        path.write_bytes(data)
        with pytest.raises(protocol.NotMade) as caught:
            thumbnailing.make(path)
        assert caught.value.reason in REASONS
        return caught.value.reason

    return reason


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_all_sizes(name, made):
    images = made(SAMPLES[name])
    assert {size: image.size for size, image in images.items()} == {
        96: (96, 64),
        320: (300, 200),
        1024: (300, 200),
    }
    assert all(shows(image) for image in images.values())


@pytest.mark.parametrize(
    "size",
    [(1, 1), (2, 3), (96, 96), (97, 33), (1, 5000), (5000, 1), (1025, 1999), (4099, 3001)],
)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_the_proportions_stay_and_nothing_is_enlarged(size, file_format, made):
    longest = max(size)
    for limit, image in made(encoded(drawn(size), file_format, quality=95)).items():
        assert max(image.size) == min(limit, longest)
        for side, original in zip(image.size, size, strict=True):
            assert abs(side - max(1, original * min(limit, longest) / longest)) <= 0.5
        if min(image.size) > 8:
            assert shows(image)


def test_every_row_weighs_the_same(made):
    image = Image.new("L", (20_480, 12), 255)
    image.paste(0, (0, 10, 20_480, 12))  # shrunk by ten at first: a whole row and a fifth of one
    assert near(made(encoded(image, "PNG"))[1024].convert("RGB").getpixel((500, 0)), (210,) * 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png(mode, made):
    grey = Image.new("L", (2500, 90), 128)
    image = Image.new("I;16", (2500, 90), 128 * 257) if mode == "I;16" else grey.convert(mode)
    shown = made(encoded(image, "PNG"))[96]
    assert shown.size == (96, 3)
    assert near(shown.convert("RGB").getpixel((50, 1)), (128, 128, 128), 4)


def test_sixteen_bits_of_colour_and_of_grey_with_transparency(made):
    pixels = b"".join(b"\0" + b"\xff\xff\0\0\x80\x80" * 8 for _ in range(8))
    shown = made(png(8, 8, depth=16, data=pixels))[96]
    assert near(shown.getpixel((4, 4)), (255, 0, 128), 12)
    greys = b"".join(b"\0" + b"\x40\x40" * 8 for _ in range(8))
    clear = chunk(b"tRNS", b"\x80\x80")
    shown = made(png(8, 8, depth=16, colour=0, chunks=clear, data=greys))[96]
    assert near(shown.convert("RGB").getpixel((4, 4)), (64, 64, 64), 4)


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_other_colours_of_jpeg(mode, made):
    image = made(encoded(Image.new("RGB", (90, 90), (128,) * 3).convert(mode), "JPEG"))[96]
    assert (image.mode, near(image.getpixel((9, 9)), (128, 128, 128))) == ("RGB", True)


def test_transparency_stays_and_what_it_hides_does_not_bleed(made):
    image = Image.new("RGBA", (4100, 400), (255, 255, 255, 0))
    image.paste((255, 0, 0, 255), (0, 0, 2055, 400))
    for size, shown in made(encoded(image, "PNG", compress_level=1)).items():
        middle, y = shown.width // 2, shown.height // 2
        assert shown.mode == "RGBA"
        assert shown.getpixel((size - 2, y))[3] == 0
        assert near(shown.getpixel((2, y)), (255, 0, 0, 255))
        for x in range(middle - 6, middle + 6):
            red, green, _, alpha = shown.getpixel((x, y))
            assert alpha < 32 or green < 64, (x, red, green, alpha)


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palette_keeps_its_transparency(file_format, made):
    image = drawn(mode="P")
    shown = made(encoded(image, file_format, transparency=image.getpixel((10, 10))))[96]
    assert shown.getpixel((20, 20))[3] == 0
    assert shown.getpixel((70, 50))[3] == 255


def test_the_first_frame_of_what_moves(made):
    frames = [Image.new("RGB", (50, 50), colour) for colour in (RED, GREEN)]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        assert near(made(data)[96].convert("RGB").getpixel((9, 9)), RED)


def photographed(orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "secret camera"
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0), 29: "secret date"}  # where it was taken
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_the_picture_upright(orientation, file_format, made):
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = drawn((400, 200))
    if orientation > 1:
        stored = stored.transpose(decoder.UPRIGHT[undo])
    data = encoded(stored, file_format, exif=photographed(orientation))
    images = made(data)
    assert [image.size for image in images.values()] == [(96, 48), (320, 160), (400, 200)]
    assert all(shows(image) for image in images.values())
    if file_format == "JPEG":
        assert imaging.dimensions(data) == (400, 200)


def test_only_exif_turns_a_picture(made):
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    for exif in (
        b"",
        b"Exif\0\0MM\0*\0\0\0\x08",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*" + b"\xff" * 4,
    ):
        image = made(encoded(drawn(), "JPEG", exif=exif, xmp=xmp))[96]
        assert image.size == (96, 64)
        assert shows(image)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_all_metadata_goes(file_format, mode, tmp_path):
    if (file_format, mode) == ("JPEG", "RGBA"):
        mode = "CMYK"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": photographed(6), "icc_profile": profile, "xmp": b"<x>secret</x>"}
    data = encoded(drawn(mode=mode), file_format, **options)
    if file_format == "JPEG":
        data = data[:2] + segment(0xFE, b"secret comment") + data[2:]
    if file_format == "PNG":
        data = data[:33] + chunk(b"tEXt", b"Comment\0secret") + data[33:]
    assert b"secret" in data
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for image in thumbnailing.make(path).values():
        assert chunks_of(image) <= {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}
        assert b"secret" not in image
        with Image.open(io.BytesIO(image)) as picture:
            assert not picture.getexif()
            assert not {"exif", "icc_profile", "xmp"} & set(picture.info)


def chunks_of(webp):
    names, at = set(), 12
    while at < len(webp):
        names.add(webp[at : at + 4])
        at += 8 + (int.from_bytes(webp[at + 4 : at + 8], "little") + 1) // 2 * 2
    return names


def gif_of_claimed_frame(width, height):
    data = bytearray(SAMPLES["GIF"])
    start = data.index(struct.pack("<HHHH", 0, 0, 300, 200)) + 4
    data[start : start + 4] = struct.pack("<HH", width, height)
    return bytes(data)


BOMBS = {
    "png": png(60_000, 60_000),
    "png of real pixels": black(7100, 7100),
    "png just above": png(10_001, 5000),
    "png thin": png(2**31 - 1, 1),
    "gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + SAMPLES["GIF"][10:],
    "gif with a huge frame": gif_of_claimed_frame(65535, 65535),
    "gif with a large frame": gif_of_claimed_frame(7100, 7100),
    "webp": webp_of_claimed_size(16383, 16383),
    "webp just above": webp_of_claimed_size(10_001, 5000),
    "jpeg": SAMPLES["JPEG"].replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65500, 65500)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_pixels(name, refused):
    assert refused(BOMBS[name]) == "too many pixels"


def test_as_many_pixels_as_may_be(made):
    assert thumbnailing.MAX_PIXELS == 10_000 * 5000
    assert made(black(10_000, 5000))[1024].size == (1024, 512)


def busy_files():
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20 - 1), 9))
    yield SAMPLES["PNG"][:33] + profile * 2000 + SAMPLES["PNG"][33:]
    jpeg = SAMPLES["JPEG"]
    yield jpeg[:2] + segment(0xE1, b"Exif\0\0" + b"x" * 10) * 50_000 + jpeg[2:]
    yield jpeg[:2] + segment(0xFE, b"") * 50_000 + jpeg[2:]
    large = encoded(Image.new("L", (5000, 5000)), "JPEG", progressive=True)
    yield large[:-2] + large[large.rindex(b"\xff\xda") : -2] * 5000 + large[-2:]


@pytest.mark.parametrize("number", range(4))
def test_files_made_to_keep_a_decoder_busy_are_refused(number, refused):
    assert refused(list(busy_files())[number]) == "not an image"


def test_a_film_behind_a_photo_is_no_part_of_it(made):
    assert shows(made(SAMPLES["JPEG"] + b"film\xff\xda\0\x02\xff\xe1\0\x08Exif" * 2000)[96])


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"tEXt", b"Comment\0" + b"x" * (4 * 2**20)),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**28), 1)),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**28), 1)),
        chunk(b"iTXt", b"x\0\x01\0\0\0" + zlib.compress(bytes(2**28), 1)),
        chunk(b"eXIf", b"MM\0*" + b"\xff" * 2**20),
        chunk(b"IDAT", zlib.compress(bytes(2**28), 1)),
    ],
    ids=lambda part: part[4:8].decode(),
)
def test_chunks_that_unpack_to_much(part, outcome):
    data = SAMPLES["PNG"][:33] + part + SAMPLES["PNG"][33:]
    assert outcome(data) in {"made", "not an image", "too much memory"}


@pytest.fixture
def outcome(tmp_path):
    """Return a function that says what became of bytes; what else is raised fails the test."""

    def attempt(data):
        path = tmp_path / "picture"
        path.write_bytes(data)
        try:
            images = thumbnailing.make(path)
        except protocol.NotMade as error:
            return error.reason
        assert list(images) == list(thumbnailing.SIZES)
        return "made"

    return attempt


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"The quick brown fox jumps over the lazy dog.\n" * 9,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        encoded(drawn(), "TIFF"),
        encoded(drawn(), "BMP"),
        encoded(drawn(), "ICO"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        png(8, 8, data=b"\0" * 10),
        png(0, 0),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_picture_is_refused(data, refused):
    assert refused(data) == "not an image"


@pytest.mark.parametrize("name", SAMPLES)
def test_truncations(name, outcome):
    data = SAMPLES[name]
    half = len(SAMPLES["JPEG"] if name == "several" else data) // 2
    outcomes = {outcome(data[:length]) for length in range(0, half, half // 8)}
    assert outcomes == {"not an image"}


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bits(name, outcome):
    chance = random.Random(7)
    for _ in range(8):
        data = bytearray(SAMPLES[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), 700))] ^= 1 << chance.randrange(8)
        assert outcome(bytes(data)) in {"made", "not an image", "too many pixels"}
