"""Labels of addresses and numbers: types of vCards, and the labels of Apple's address book."""

import re
from collections.abc import Iterable

from accounts.address_book import MAX_LABEL, clean_line

# A value that is not the contact's first one, in a card that has no first one.
NOT_FIRST = "X-CLOUDNOTES-FIRST=NO"
# Types that say nothing that a person would call the address or number by.
_NO_LABELS = frozenset(
    [
        "7BIT",
        "8BIT",
        "B",
        "BASE64",
        "DOM",
        "INTERNET",
        "INTL",
        "MSG",
        "PARCEL",
        "POSTAL",
        "PREF",
        "QUOTED-PRINTABLE",
        "TEXT",
        "VOICE",
        "X400",
    ]
)
_TYPE = re.compile("[a-z0-9][a-z0-9-]*")
_APPLE = re.compile(r"_\$!<(.*)>!\$_")


def to_parameter(label: str) -> tuple[str, str]:
    """Return the parameter of a label, and the text of an ``X-ABLabel`` if no type can be it."""
    if not label or (_TYPE.fullmatch(label) and label.upper() not in _NO_LABELS):
        return (f";TYPE={label}" if label else ""), ""
    return "", (f"_$!<{label}>!$_" if _APPLE.fullmatch(label) else label)


def to_label(types: Iterable[str], custom_label: str) -> str:
    """Return the label of a property with these types (upper case) and this ``X-ABLabel``."""
    if custom_label:
        match = _APPLE.fullmatch(custom_label)
        label = match[1] if match else custom_label
    else:
        label = " ".join(each.lower() for each in types if each not in _NO_LABELS)
    return clean_line(clean_line(label)[:MAX_LABEL])
