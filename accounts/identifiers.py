"""Folding: decides whether two e-mail addresses or usernames are the same."""

import unicodedata


def fold(identifier: str) -> str:
    """Return the form in which identifiers are compared: NFKC, case-folded, NFKC again, stripped.

    Folding case can undo normalisation, hence the second pass (Unicode 15, 3.13, D145).
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
