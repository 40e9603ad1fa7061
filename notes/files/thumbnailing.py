"""Sizes and limits of thumbnails, and how to make them. No ORM, no HTTP."""

import os

from cloudnotes.pictures import renditions
from cloudnotes.pictures.protocol import Spec

SIZES = (96, 320, 1024)
MAX_PIXELS = 50_000_000
MAX_CPU_SECONDS = 10
TIMEOUT_SECONDS = 15.0

THUMBNAILS = Spec(
    sizes=SIZES,
    is_square=False,
    quality=80,
    max_pixels=MAX_PIXELS,
    max_cpu_seconds=MAX_CPU_SECONDS,
)


def make(path: str | os.PathLike[str]) -> dict[int, bytes]:
    """Return the thumbnails of the picture in a file, as WebP, by each of ``SIZES``.

    Takes at most ``TIMEOUT_SECONDS`` and one process, and raises
    :class:`~cloudnotes.pictures.protocol.NotMade` and :class:`OSError`: see
    :func:`cloudnotes.pictures.renditions.make`.
    """
    return renditions.make(path, THUMBNAILS, seconds=TIMEOUT_SECONDS)
