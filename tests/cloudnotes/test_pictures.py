"""The process that decodes pictures: its bounds, and how it may end."""

import os
import resource
import signal
import struct
import subprocess
import sys

import pytest
from PIL import Image

from cloudnotes.pictures import protocol, renditions
from tests.children import IMPORTED, command, dies_of, has_too_little_memory
from tests.pictures import black, encoded, png

pytestmark = pytest.mark.service

SPEC = protocol.Spec(
    sizes=(96, 320, 1024),
    is_square=False,
    quality=80,
    max_pixels=50_000_000,
    max_cpu_seconds=10,
)
SECONDS = 60.0  # the machine may be busy


@pytest.fixture
def refused(tmp_path):
    """Return a function that gives the reason why there are no images of bytes."""

    def reason(data, seconds=SECONDS):
        path = tmp_path / "picture"
        path.write_bytes(data)
        with pytest.raises(protocol.NotMade) as caught:
            renditions.make(path, SPEC, seconds=seconds)
        return caught.value.reason

    return reason


def test_a_file_that_cannot_be_read_says_nothing_about_the_picture(tmp_path):
    with pytest.raises(FileNotFoundError):
        renditions.make(tmp_path / "gone", SPEC, seconds=SECONDS)


def test_a_child_that_takes_long_is_ended(refused):
    assert refused(black(10_000, 5000), 0.01) == "not in time"


def child_is(monkeypatch, code):
    monkeypatch.setattr(renditions, "COMMAND", command(code))


def test_all_of_its_group_is_ended(tmp_path, monkeypatch, refused):
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    script = f"exec 3> {fifo}; (sleep 20; echo late >&3) & sleep 20"
    monkeypatch.setattr(renditions, "COMMAND", ("/bin/sh", "-c", script))
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert refused(b"x", 0.3) == "not in time"
        os.set_blocking(end, True)
        assert os.read(end, 9) == b""  # all that could have written are gone
    finally:
        os.close(end)


def test_one_that_writes_slowly_or_ends_its_output_but_not_itself(monkeypatch, refused):
    child_is(monkeypatch, "import os\nwhile True: os.write(1, b'x')")
    assert refused(b"x", 0.2) == "not in time"
    child_is(monkeypatch, "import os, time; os.close(1); time.sleep(20)")
    assert refused(b"x", 0.2) == "not in time"


WEBP = b"RIFF\0\0\0\0WEBP"
FRAME = struct.pack(">I", len(WEBP)) + WEBP


def writes(output):
    return f"import os; os.write(1, {output!r});"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "too many pixels"),
        ("raise SystemExit(4)", "not an image"),
        ("raise SystemExit(5)", "too much memory"),
        ("raise SystemExit(6)", "crashed"),
        ("1 / 0", "crashed"),
        ("", "crashed"),
        (dies_of(signal.SIGSEGV), "crashed"),
        (dies_of(signal.SIGKILL), "killed"),
        (dies_of(signal.SIGXCPU), "took too long"),
        (dies_of(signal.SIGALRM), "not in time"),
        ("import os\nwhile True: os.write(1, bytes(2**16))", "crashed"),
        (writes(FRAME * 2), "crashed"),
        (writes(FRAME * 2 + FRAME[:-1]), "crashed"),
        (writes(FRAME * 3 + b"x"), "crashed"),
        (writes(FRAME * 4), "crashed"),
        (writes(FRAME.replace(b"WEBP", b"HTML") * 3), "crashed"),
        (writes(b"\xff" * 12), "crashed"),
        (writes(bytes(12)), "crashed"),
        (writes(FRAME * 3) + "raise SystemExit(1)", "crashed"),
    ],
)
def test_how_a_child_may_end(code, reason, monkeypatch, refused):
    child_is(monkeypatch, code)
    assert refused(b"x") == reason


def test_the_child_hears_nothing_of_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "secret")
    code = "import os; e = repr(dict(os.environ)).encode(); e = b'RIFF____WEBP' + e;"
    child_is(monkeypatch, code + "os.write(1, (len(e).to_bytes(4, 'big') + e) * 3)")
    path = tmp_path / "picture"
    path.write_bytes(b"x")
    assert renditions.make(path, SPEC, seconds=SECONDS)[96] == b"RIFF____WEBP{'LC_ALL': 'C.UTF-8'}"


def in_the_child(code):
    """Return what Python prints that imports the decoder as the child does, and runs some code."""
    program = command(f"{IMPORTED}\n{code}")
    return subprocess.run(program, cwd="/", env={}, check=True, capture_output=True, text=True)


def test_the_child_imports_the_standard_library_and_pillow_only():
    code = "print(*sys.modules)"
    imported = set(in_the_child(code).stdout.split())
    # Whatever the folder of packages itself starts with every Python is there without us too.
    bare = command("import sys; print(*sys.modules)")
    modules = subprocess.run(bare, check=True, capture_output=True, text=True).stdout.split()
    ours = {name for name in imported if name.partition(".")[0] == "cloudnotes"}
    folder = "cloudnotes.pictures"
    assert ours == {"cloudnotes", folder, f"{folder}.decoder", f"{folder}.protocol"}
    known = {"cloudnotes", "PIL", *sys.stdlib_module_names, *modules, "__mp_main__"}
    assert {name.partition(".")[0] for name in imported} <= known


def test_the_child_is_bounded():
    code = """
import resource
decoder.confine(cpu_seconds=10, seconds=16)
for name in ("AS", "CPU", "FSIZE", "CORE"):
    print(*resource.getrlimit(getattr(resource, "RLIMIT_" + name)))
try:
    bytearray(2**30)
except MemoryError:
    print("no memory")
"""
    memory = protocol.MAX_MEMORY_BYTES
    assert in_the_child(code).stdout.splitlines() == [
        f"{memory} {memory}",
        "10 11",
        "0 0",
        "0 0",
        "no memory",
    ]


def test_the_child_ends_by_itself_should_nobody_wait_for_it():
    code = "decoder.confine(cpu_seconds=10, seconds=16); print(decoder.signal.alarm(0))"
    assert in_the_child(code).stdout in ("16\n", "15\n")


def test_the_child_inherits_no_descriptor(monkeypatch, refused):
    """Neither a connection to the database nor a socket of a client."""
    reader, writer = os.pipe()
    try:
        os.dup2(reader, writer)  # which makes it inheritable
        child_is(monkeypatch, f"import os, sys; os.fstat({writer}); sys.exit(3)")
        assert refused(b"x") == "crashed"
        child_is(monkeypatch, "import os, sys; os.fstat(1); sys.exit(3)")
        assert refused(b"x") == "too many pixels"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_stricter_bound_from_outside_stays():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
decoder.confine(cpu_seconds=10, seconds=16)
print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_AS)[1] == 2**29)
"""
    assert in_the_child(code).stdout == "(5, 5) True\n"


def test_this_process_is_left_as_it_was(tmp_path):
    before = (Image.MAX_IMAGE_PIXELS, resource.getrlimit(resource.RLIMIT_AS))
    path = tmp_path / "picture"
    path.write_bytes(png(1, 1, data=bytes(4)))
    assert list(renditions.make(path, SPEC, seconds=SECONDS)) == [96, 320, 1024]
    assert (Image.MAX_IMAGE_PIXELS, resource.getrlimit(resource.RLIMIT_AS)) == before


def test_too_little_memory_is_said(monkeypatch, refused):
    child_is(monkeypatch, has_too_little_memory(40))
    assert refused(encoded(Image.new("RGB", (5000, 5000)), "PNG")) == "too much memory"
