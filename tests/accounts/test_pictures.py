"""Pictures: what becomes of good ones, and that bad ones are refused and nothing worse."""

import io
import random
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from accounts import pictures
from cloudnotes.api.errors import DomainError
from cloudnotes.pictures import decoder, protocol, renditions
from tests.children import IMPORTED, command
from tests.pictures import BLUE, GREEN, RED, chunk, encoded, png, webp_of_claimed_size
from tests.servers import ROOT

# Pillow warns of broken metadata and goes on, as in production.
pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("ignore::UserWarning")]


def drawn(mode="RGB", size=(300, 200)):
    """Return a picture whose middle square is green with a red left half."""
    image = Image.new("RGB", size, BLUE)
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, left + side - 1, top + side - 1), fill=GREEN)
    draw.rectangle((left, top, left + side // 2 - 1, top + side - 1), fill=RED)
    return image.convert(mode)


SAMPLES = {
    "PNG": encoded(drawn(), "PNG"),
    "JPEG": encoded(drawn(), "JPEG"),
    "progressive": encoded(drawn(), "JPEG", progressive=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
    "GIF": encoded(drawn("P"), "GIF"),
    "WEBP": encoded(drawn(), "WEBP"),
    "lossless": encoded(drawn("RGBA"), "WEBP", lossless=True),
    "palette": encoded(drawn("P"), "PNG", transparency=0),
}


def cut(data):
    return pictures.cut(io.BytesIO(data))


def opened(data, size=256):
    image = Image.open(io.BytesIO(cut(data)[size]))
    image.load()
    return image


def near(pixel, colour, tolerance=24):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_the_middle_square_in_all_sizes(name):
    images = cut(SAMPLES[name])
    assert sorted(images) == [64, 256, 512]
    for size, data in images.items():
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.size) == ("WEBP", (size, size))
    middle = opened(SAMPLES[name]).convert("RGB")
    assert near(middle.getpixel((40, 128)), RED)
    assert near(middle.getpixel((216, 128)), GREEN)
    assert near(middle.getpixel((2, 128)), RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png(mode):
    grey = Image.new("L", (90, 90), 128)
    image = Image.new("I;16", (90, 90), 128 * 257) if mode == "I;16" else grey.convert(mode)
    pixel = opened(encoded(image, "PNG")).convert("RGB").getpixel((100, 100))
    if mode != "1":
        assert near(pixel, (128, 128, 128), 3)


def test_sixteen_bits_of_colour_and_of_grey_with_transparency():
    pixels = b"".join(b"\0" + b"\xff\xff\0\0\x80\x80" * 8 for _ in range(8))
    assert near(opened(png(8, 8, depth=16, data=pixels)).getpixel((9, 9)), (255, 0, 128))
    greys = b"".join(b"\0" + b"\x40\x40" * 8 for _ in range(8))
    clear = chunk(b"tRNS", b"\x40\x40")
    data = png(8, 8, depth=16, colour=0, chunks=clear, data=greys)
    assert near(opened(data).convert("RGB").getpixel((9, 9)), (64, 64, 64), 3)


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_other_colours_of_jpeg(mode):
    image = opened(encoded(Image.new("RGB", (90, 90), (128,) * 3).convert(mode), "JPEG"))
    assert (image.mode, near(image.getpixel((9, 9)), (128, 128, 128))) == ("RGB", True)


def test_transparency_stays_and_what_it_hides_does_not_bleed():
    image = Image.new("RGBA", (4000, 4000), (255, 255, 255, 0))
    image.paste((255, 0, 0, 255), (0, 0, 2005, 4000))
    shown = opened(encoded(image, "PNG", compress_level=1))
    assert shown.mode == "RGBA"
    assert shown.getpixel((200, 100))[3] == 0
    assert near(shown.getpixel((60, 100)), (255, 0, 0, 255))
    for x in range(120, 136):
        red, green, _, alpha = shown.getpixel((x, 100))
        assert alpha < 32 or green < 64, (x, red, green, alpha)


def test_a_palette_keeps_its_transparency():
    image = drawn("P")
    image.info["transparency"] = image.getpixel((150, 100))
    shown = opened(encoded(image, "PNG", transparency=image.getpixel((160, 100))))
    assert shown.getpixel((200, 100))[3] == 0
    assert shown.getpixel((50, 100))[3] == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_the_picture_upright_and_goes(orientation, file_format):
    upright = Image.new("RGB", (80, 80), BLUE)
    upright.paste(RED, (0, 0, 40, 40))
    upright.paste(GREEN, (40, 0, 80, 40))
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(decoder.UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[decoder.ORIENTATION] = orientation
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0)}  # where it was taken
    data = encoded(stored, file_format, exif=exif)
    shown = opened(data)
    assert near(shown.getpixel((50, 50)), RED)
    assert near(shown.getpixel((200, 50)), GREEN)
    assert near(shown.getpixel((128, 200)), BLUE)
    assert "exif" not in shown.info
    assert not dict(shown.getexif())


def test_a_picture_with_broken_exif_is_shown_as_it_lies():
    for exif in (b"Exif\0\0MM\0*\0\0\0\x08", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff"):
        assert near(opened(encoded(drawn(), "JPEG", exif=exif)).getpixel((40, 128)), RED)


def test_metadata_goes():
    text = chunk(b"tEXt", b"Comment\0somewhere secret")
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"secret" * 100))
    data = SAMPLES["PNG"][:33] + text + profile + SAMPLES["PNG"][33:]
    for image in cut(data).values():
        assert set(Image.open(io.BytesIO(image)).info) <= {"loop", "background", "duration"}
        assert b"ICCP" not in image
        assert b"secret" not in image


def test_the_first_frame_of_what_moves():
    frames = [Image.new("RGB", (50, 50), colour) for colour in (RED, GREEN)]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        shown = opened(data)
        assert getattr(shown, "n_frames", 1) == 1
        assert near(shown.convert("RGB").getpixel((9, 9)), RED)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (1025, 1999), (5000, 5000)])
def test_odd_sizes(size):
    for file_format in ("PNG", "JPEG"):
        assert near(opened(encoded(Image.new("RGB", size, RED), file_format)).getpixel((5, 5)), RED)


def refused(data):
    with pytest.raises(DomainError) as caught:
        cut(data)
    return caught.value.status, caught.value.code


def test_too_large_a_file():
    assert refused(b"x" * (pictures.MAX_BYTES + 1)) == (413, "file_too_large")
    padded = SAMPLES["JPEG"] + b"\0" * (pictures.MAX_BYTES - len(SAMPLES["JPEG"]))
    assert sorted(cut(padded)) == [64, 256, 512]


BOMBS = {
    "png": png(30_000, 30_000),
    "png of real pixels": png(30_000, 30_000, depth=1, colour=0, data=b"\0" * 3751 * 30_000),
    "png just above": png(5001, 5000),
    "png twice above": png(8000, 5000),
    "png thin": png(2**31 - 1, 1),
    "gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + SAMPLES["GIF"][10:],
    "webp": webp_of_claimed_size(16383, 16383),
    "jpeg": SAMPLES["JPEG"].replace(struct.pack(">HH", 200, 300), struct.pack(">HH", 65500, 65500)),
}


OPENED = 99


@pytest.fixture
def child_is(monkeypatch):
    """Return a function that has other code run in place of the decoder."""

    def replace(code):
        monkeypatch.setattr(renditions, "COMMAND", command(code))

    return replace


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_header(name, child_is):
    child_is(f"""{IMPORTED}
from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
for each in (
    GifImagePlugin.GifImageFile,
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
):
    each.load = lambda self: sys.exit({OPENED})
sys.exit(decoder.main())
""")
    assert refused(BOMBS[name]) == (413, "too_many_pixels")


def inserted(data, at, part):
    count = (pictures.MAX_BYTES - len(data)) // len(part)
    return data[:at] + part * count + data[at:]


def busy_files():
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * (2**20 - 1), 9))
    yield inserted(SAMPLES["PNG"], 33, profile)
    exif = b"\xff\xe1" + struct.pack(">H", 18) + b"Exif\0\0" + b"x" * 10
    yield inserted(SAMPLES["JPEG"], 2, exif)
    large = encoded(Image.new("RGB", (5000, 5000), RED), "JPEG", progressive=True)
    scan = large[large.rindex(b"\xff\xda") : -2]
    yield inserted(large, len(large) - 2, scan)


def test_files_made_to_keep_a_decoder_busy_are_refused_unread(child_is, caplog):
    child_is(f"""{IMPORTED}
from PIL import Image
Image.open = lambda *args, **kwargs: sys.exit({OPENED})
sys.exit(decoder.main())
""")
    for data in busy_files():
        assert refused(data) == (400, "not_an_image")
    assert caplog.messages == []
    assert refused(SAMPLES["PNG"]) == (400, "not_an_image")
    assert "crashed" in caplog.text  # a file that is opened would have been noticed


def test_giant_chunks():
    for part in (
        chunk(b"tEXt", b"Comment\0" + b"x" * (4 * 2**20)),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2**28)),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(b"x" * 2**28)),
        chunk(b"iTXt", b"x\0\x01\0\0\0" + zlib.compress(b"x" * 2**28)),
        chunk(b"eXIf", b"MM\0*" + b"\xff" * 2**20),
    ):
        outcome(SAMPLES["PNG"][:33] + part + SAMPLES["PNG"][33:])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        b"BM" + bytes(100),
        encoded(drawn(), "TIFF"),
        encoded(drawn(), "BMP"),
        encoded(drawn(), "ICO"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        png(8, 8, data=b"\0" * 10),
        png(0, 0),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_picture_is_refused(data):
    assert refused(data) == (400, "not_an_image")


def outcome(data):
    """Cut, or refuse; whatever else is raised fails the test."""
    try:
        images = cut(data)
    except (pictures.NotAnImage, pictures.TooManyPixels):
        return False
    assert sorted(images) == [64, 256, 512]
    return True


def refusal(data):
    """Decode in this process, for thousands of files would take thousands of children.

    Returns why there are no images, None if there are some; what else is raised fails the test.
    """
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Image, "MAX_IMAGE_PIXELS", None)  # the decoder sets it for its process
        file.write(data)
        file.flush()
        try:
            assert len(decoder.decode(file, pictures.AVATARS)) == 3
        except protocol.NotMade as error:
            return error.reason
    return None


EXPECTED = {None, "not an image", "too many pixels"}


def test_a_bomb_is_refused_without_the_warnings_of_pillow(monkeypatch):
    with warnings.catch_warnings(action="ignore"):
        monkeypatch.setattr(warnings, "simplefilter", lambda *args: None)
        assert refusal(BOMBS["png just above"]) == "too many pixels"
        assert refusal(BOMBS["png"]) == "too many pixels"


@pytest.mark.parametrize("name", SAMPLES)
def test_truncations(name):
    data = SAMPLES[name]
    points = {*range(64), *range(64, len(data) // 2, max(1, len(data) // 40))}
    assert {refusal(data[:length]) for length in points} == {"not an image"}


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bits(name):
    chance = random.Random(7)
    for _ in range(120):
        data = bytearray(SAMPLES[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), 700))] ^= 1 << chance.randrange(8)
        assert refusal(bytes(data)) in EXPECTED


@settings(max_examples=150)
@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x40\0\0\0WEBPVP8 "]
    ),
    st.binary(max_size=300),
)
def test_any_bytes(start, rest):
    assert refusal(start + rest) in EXPECTED


def test_one_child_at_a_time_and_the_others_hear_in_time(monkeypatch):
    has_begun, may_go_on, running = threading.Event(), threading.Event(), []

    def make(*args, **kwargs):
        running.append(kwargs)
        if not has_begun.is_set():
            has_begun.set()
            may_go_on.wait()
        return {}

    monkeypatch.setattr(renditions, "make", make)
    first = threading.Thread(target=cut, args=(b"x",))
    first.start()
    try:
        has_begun.wait()
        with monkeypatch.context() as patched:
            patched.setattr(pictures, "QUEUE_SECONDS", 0.01)
            assert refused(b"x") == (503, "overloaded")
    finally:
        may_go_on.set()
        first.join()
    assert len(running) == 1
    assert cut(b"x") == {}


def test_what_waits_for_a_child_has_less_time_for_its_own(monkeypatch):
    seconds = []
    monkeypatch.setattr(renditions, "make", lambda *args, **kwargs: seconds.append(kwargs))
    clock = iter([100.0, 104.5])
    monkeypatch.setattr(pictures.time, "monotonic", lambda: next(clock))
    cut(SAMPLES["PNG"])
    assert seconds == [{"seconds": pictures.TIMEOUT_SECONDS - 4.5}]


def test_the_child_has_the_limits_of_avatars(child_is):
    child_is(f"""{IMPORTED}
import resource
def decode(file, spec):
    limits = [resource.getrlimit(each)[0] for each in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]
    is_bounded = limits[0] <= {pictures.MAX_CPU_SECONDS} and limits[1] <= 2**30
    return [b"RIFF____WEBP"] * (3 if is_bounded and -1 not in limits else 0)
decoder.decode = decode
sys.exit(decoder.main())
""")
    assert cut(b"x") == dict.fromkeys([64, 256, 512], b"RIFF____WEBP")


def test_a_web_process_decodes_nothing():
    """It does not even import Pillow, with all that a web process imports."""
    code = """
import io, sys
import cloudnotes.asgi
from accounts import pictures
from django.urls import get_resolver
assert get_resolver().url_patterns
assert sorted(pictures.cut(io.BytesIO(sys.stdin.buffer.read()))) == [64, 256, 512]
print(*sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=SAMPLES["JPEG"],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    imported = set(run.stdout.decode().split())
    assert {"notes.files.thumbnailing", "cloudnotes.pictures.renditions"} <= imported
    assert not imported & {"PIL", "cloudnotes.pictures.decoder"}
