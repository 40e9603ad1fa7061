"""Starts the decoder of pictures: a bounded child process. No ORM, no HTTP, no Django.

What is opened may be made to hurt: tiny files that unpack to gigabytes, that keep a decoder busy
for minutes, or that make it write where it should not. So no decoder runs in the process that asks,
and this module does not import it.
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

# -I: neither the environment nor the current folder may say what is imported. Our own packages come
# last, so that no file beside them stands in for a module of Python or of Pillow.
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
    first frame. An image stands upright by the Exif orientation; transparency stays, all metadata
    goes (a colour profile too: the colours are read as sRGB).

    Takes at most ``seconds``, of which the decoder computes for ``spec.max_cpu_seconds`` at most,
    and one process of ``MAX_MEMORY_BYTES`` that is gone when this returns. Whatever is wrong with
    the picture raises :class:`NotMade` and nothing else; a file that cannot be read, or a child
    that cannot be started, is an :class:`OSError`. How many run at once is up to the caller.
    """
    until = time.monotonic() + seconds
    # The child ends by itself too, should the process that started it be gone.
    arguments = (json.dumps(spec), str(math.ceil(max(0.0, seconds)) + 1))
    with (
        open(path, "rb", buffering=0) as file,
        subprocess.Popen(  # noqa: S603 - the name of the file is not in it
            (*COMMAND, *arguments),
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
            return _unpacked(_answer(child, until), spec.sizes)
        finally:
            if child.poll() is None:  # not reaped yet, so that the number is still its own
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


def _answer(child: "subprocess.Popen[bytes]", until: float) -> bytes:
    """Return all that the child writes, when it ends well and in time."""
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
    """Return the pictures, each after its length; a child that was taken over may send anything."""
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
