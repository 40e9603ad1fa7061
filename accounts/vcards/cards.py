"""What of a vCard a contact can hold, and what it cannot."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from accounts.address_book import LINE_BREAKS


class Entry(NamedTuple):
    """An address or a number besides the first, with a label that may be ''."""

    label: str
    value: str


@dataclass(frozen=True)
class Card:
    """The fields of a contact in a vCard. All but ``notes`` and ``addresses`` are one line each.

    ``month_day`` (month times 100 plus day) is a birthday whose year is not known.
    """

    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    uid: str = ""
    birthday: dt.date | None = None
    notes: str = ""
    month_day: int | None = None
    company: str = ""
    job_title: str = ""
    url: str = ""
    other_emails: tuple[Entry, ...] = ()
    other_phones: tuple[Entry, ...] = ()
    addresses: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A property of a card that was not imported, or not whole, and a sentence that says why.

    ``property`` is '' for what has no name.
    """

    property: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """The card at ``index`` (from 0) of a file, or the ``reason`` why it cannot be used.

    ``unread`` names the fields that are empty only because their property was left out.
    """

    index: int
    card: Card | None = None
    reason: str = ""
    left_out: tuple[LeftOut, ...] = ()
    unread: frozenset[str] = frozenset()


def carried(text: str) -> str:
    r"""Return a text as a vCard can hold it: line ends are ``\n``, no control characters."""
    return LINE_BREAKS.sub("\n", text).translate(_CONTROLS)


_CONTROLS = dict.fromkeys(
    code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
)
