"""Categories: paths such as ``Work/Plans`` that notes have and tokens can be limited to."""

import unicodedata

MAX_LENGTH = 200
SEPARATOR = "/"


class InvalidCategory(ValueError):
    """The text is not a category; the message says why."""


def parse(text: str) -> str:
    """Return a category in its canonical form: NFC, no blanks at the ends of its names.

    Names that are empty, ``.`` or ``..`` are left out: a category is an absolute path. Only ``''``
    means no category. A text such as ``//`` that becomes empty is refused, or a token limited to
    it would have no limit. Raises :class:`InvalidCategory` for that, above 200 characters and for
    characters that are not printable.
    """
    names = [name.strip() for name in unicodedata.normalize("NFC", text).split(SEPARATOR)]
    category = SEPARATOR.join(name for name in names if name not in ("", ".", ".."))
    if not category and text.strip():
        raise InvalidCategory("A category is one or more names with / between them.")
    if not category.isprintable():
        raise InvalidCategory("A category holds printable characters only.")
    if len(category) > MAX_LENGTH:
        raise InvalidCategory(f"A category has at most {MAX_LENGTH} characters.")
    return category


def is_within(category: str, limit: str) -> bool:
    """Return whether a category is ``limit`` or below it; every category is within ``''``."""
    return limit in ("", category) or category.startswith(limit + SEPARATOR)
