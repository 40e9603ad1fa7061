"""Pictures of users: makes small WebP squares of an upload. No ORM, no HTTP.

They are decoded in a bounded child process, never in this one: see
:mod:`cloudnotes.pictures.renditions`.
"""

import logging
import tempfile
import threading
import time
from typing import IO

from cloudnotes.api.errors import DomainError
from cloudnotes.pictures import protocol, renditions

SIZES = (64, 256, 512)
CONTENT_TYPE = protocol.CONTENT_TYPE
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 25_000_000
MAX_CPU_SECONDS = 5
# For the wait for a free child process and for its work together.
TIMEOUT_SECONDS = 7.0
# Short, as a call that waits holds one of the threads for all uploads.
QUEUE_SECONDS = 1.0
# Parallel children of one web process: a picture of MAX_PIXELS takes a core for 1 s and 400 MiB.
MAX_CHILDREN = 1

AVATARS = protocol.Spec(
    sizes=SIZES,
    is_square=True,
    quality=85,
    max_pixels=MAX_PIXELS,
    max_cpu_seconds=MAX_CPU_SECONDS,
)

logger = logging.getLogger(__name__)

_children = threading.BoundedSemaphore(MAX_CHILDREN)


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
    """The bytes are not a complete picture of a known format."""

    code = "not_an_image"
    detail = "This is not a whole PNG, JPEG, GIF or WebP picture. Send another file."
    field = "avatar"


class TooCostly(NotAnImage):
    """Decoding the picture takes more memory or CPU time than its child process may use."""

    detail = "This picture takes too much memory or time to open. Send another file."


class TooBusy(DomainError):
    """The picture was not decoded: too little time or memory, or no free process."""

    status = 503
    code = "overloaded"
    detail = "The server is busy with other pictures. Please try again."


def cut(content: IO[bytes]) -> dict[int, bytes]:
    """Return the middle square of a picture by its width in pixels, as WebP, for all ``SIZES``.

    The picture is a PNG, JPEG, GIF (the first frame) or WebP. It is turned upright by its Exif
    orientation. Transparency is preserved, all metadata is removed. A smaller picture is enlarged.

    Takes at most ``TIMEOUT_SECONDS`` and one child process; at most ``MAX_CHILDREN`` run at a
    time, and further calls wait. Raises :class:`PictureTooLarge`, :class:`TooManyPixels`,
    :class:`NotAnImage`, :class:`TooCostly` and :class:`TooBusy`.
    """
    until = time.monotonic() + TIMEOUT_SECONDS
    content.seek(0)
    data = content.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise PictureTooLarge
    if not _children.acquire(timeout=QUEUE_SECONDS):
        raise TooBusy
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return renditions.make(file.name, AVATARS, seconds=until - time.monotonic())
    except protocol.NotMade as error:
        raise _refusal(error.reason) from error
    except OSError as error:
        logger.exception("A picture cannot be handed to a child process.")
        raise TooBusy from error
    finally:
        _children.release()


def _refusal(reason: str) -> DomainError:
    """Return the problem for the reason of a :class:`cloudnotes.pictures.protocol.NotMade`."""
    if reason in protocol.PASSING:
        logger.warning("A picture was not decoded: %s.", reason)
        return TooBusy()
    if reason == protocol.TOO_MANY_PIXELS:
        return TooManyPixels()
    if reason in (protocol.TOO_MUCH_MEMORY, protocol.TOOK_TOO_LONG):
        return TooCostly()
    if reason == protocol.CRASHED:  # if every picture does this, the installation is broken
        logger.error("The child process that decodes a picture has crashed.")
    return NotAnImage()
