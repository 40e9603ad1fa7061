"""Categories: paths such as ``Work/Plans`` that notes have and tokens can be limited to."""

from cloudnotes.characters import find_unusable, to_one_line

MAX_LENGTH = 200
SEPARATOR = "/"


class InvalidCategory(ValueError):
    """The text is not a category; the message says why."""


def parse(text: str) -> str:
    """Return a category in its canonical form: each name NFC, with single blanks within.

    Names that are empty, ``.`` or ``..`` are left out: a category is an absolute path. Only ``''``
    means no category. A text such as ``//`` that becomes empty is refused, or a token limited to
    it would have no limit. Raises :class:`InvalidCategory` for that, above 200 characters and for
    characters that names cannot have (``cloudnotes.characters``).
    """
    names = [to_one_line(name) for name in text.split(SEPARATOR)]
    category = SEPARATOR.join(name for name in names if name not in ("", ".", ".."))
    if not category and text.strip():
        raise InvalidCategory("A category is one or more names with / between them.")
    if character := find_unusable(category):
        raise InvalidCategory(f"A category cannot hold {character}, which nobody can see.")
    if len(category) > MAX_LENGTH:
        raise InvalidCategory(f"A category has at most {MAX_LENGTH} characters.")
    return category


def is_within(category: str, limit: str) -> bool:
    """Return whether a category is ``limit`` or below it; every category is within ``''``."""
    return limit in ("", category) or category.startswith(limit + SEPARATOR)
