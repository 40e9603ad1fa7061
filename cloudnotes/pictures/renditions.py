"""Starts the decoder of pictures: a bounded child process. No ORM, no HTTP, no Django.

Pictures may be made to attack: tiny files can unpack to gigabytes, keep a decoder busy for minutes,
or make it write where it must not. So no decoder runs in the calling process, and this module does
not import it.
"""

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from cloudnotes.pictures.protocol import (
    CRASHED,
    KILLED,
    LENGTH,
    MAX_OUTPUT_BYTES,
    NOT_IN_TIME,
    REASONS,
    TOOK_TOO_LONG,
    NotMade,
    Spec,
)

# -I: neither the environment nor the current folder may change what is imported. Our own packages
# come last, so that no file beside them can replace a module of Python or of Pillow.
PROGRAM = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from cloudnotes.pictures import decoder
sys.exit(decoder.main())
"""
COMMAND = (sys.executable, "-I", "-c", PROGRAM)
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
SIGNALS = {
    -signal.SIGXCPU: TOOK_TOO_LONG,
    -signal.SIGALRM: NOT_IN_TIME,
    -signal.SIGKILL: KILLED,
}


def make(path: str | os.PathLike[str], spec: Spec, *, seconds: float) -> dict[int, bytes]:
    """Return the images of the picture in a file, as WebP, by each of ``spec.sizes``.

    The picture is a PNG, JPEG, GIF or WebP of at most ``spec.max_pixels``; of an animation, the
    first frame. An image is turned upright by its Exif orientation. Transparency is preserved, all
    metadata is removed (a colour profile too: colours are read as sRGB).

    Takes at most ``seconds``, of which the decoder uses at most ``spec.max_cpu_seconds`` of CPU
    time, and one process of ``MAX_MEMORY_BYTES`` that has ended when this returns. Raises
    :class:`NotMade` for every fault of the picture, and :class:`OSError` if the file cannot be read
    or the child cannot be started. The caller limits how many run in parallel.
    """
    until = time.monotonic() + seconds
    # The child also ends by itself, in case its parent process has died.
    arguments = (json.dumps(spec), str(math.ceil(max(0.0, seconds)) + 1))
    with (
        open(path, "rb", buffering=0) as file,
        subprocess.Popen(  # noqa: S603 - no file name in the command
            (*COMMAND, *arguments),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,  # a process group, so that all of it can be killed
        ) as child,
    ):
        try:
            return _unpacked(_answer(child, until), spec.sizes)
        finally:
            if child.poll() is None:  # not reaped yet, so its process id is not reused
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


def _answer(child: "subprocess.Popen[bytes]", until: float) -> bytes:
    """Return the output of the child. Raises :class:`NotMade` if it fails or is late."""
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


def _unpacked(output: bytes, sizes: tuple[int, ...]) -> dict[int, bytes]:
    """Split the output into images by their lengths; check it, as an exploited child may lie."""
    images, position = {}, 0
    for size in sizes:
        header = output[position : position + LENGTH.size]
        (length,) = LENGTH.unpack(header) if len(header) == LENGTH.size else (0,)
        position += LENGTH.size + length
        image = output[position - length : position]
        if len(image) < length or not (image.startswith(b"RIFF") and image[8:12] == b"WEBP"):
            raise NotMade(CRASHED)
        images[size] = image
    if position != len(output):
        raise NotMade(CRASHED)
    return images
