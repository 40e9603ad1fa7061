"""What a contact can hold: lengths, and the one form of its texts, numbers and birthdays. Pure."""

import datetime as dt
import re
from collections.abc import Iterable

import regex

from cloudnotes.characters import fold_for_search

MAX_NAME = 100
MAX_LINE = 200  # company and job title
MAX_EMAIL = 254
MAX_PHONE = 50
MAX_URL = 1000
MAX_ADDRESS = 500
MAX_LABEL = 50
MAX_ENTRIES = 20
MAX_NOTES = 10_000
MAX_WORDS = 10  # of a search; each takes its time for each contact
LEAP_YEAR = 2000  # its days are those that a birthday without a year can have

# All characters that any reader takes as the end of a line.
LINE_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_NOT_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MONTH_DAY = re.compile(r"--([0-9]{2})-?([0-9]{2})")
_DASHES = regex.compile(r"[\p{Pd}\u2043\u2212]")
_BLANKS = regex.compile(r"\p{Zs}+")
_INVISIBLE = regex.compile(r"\p{Cf}+")
_TEL = re.compile(r"(?:tel: ?)+", re.IGNORECASE)
_EXTENSION = re.compile(r";\s*ext=", re.IGNORECASE)
_NUMBER = regex.compile(r"[\p{Nd}\p{Pd}\p{Zs}\u2212+().,/#*]+")


def clean_line(text: str) -> str:
    """Return a text as one line: a blank for control characters, none at its ends."""
    return _NOT_ONE_LINE.sub(" ", text).strip()


def clean_lines(text: str) -> str:
    r"""Return a text as lines that ``\n`` parts: each is clean, and none is empty."""
    return "\n".join(filter(None, map(clean_line, LINE_BREAKS.split(text))))


def clean_phone(number: str) -> str:
    """Return a phone number with plain dashes and blanks, without what nobody sees.

    Of a URI (RFC 3966) the number and the extension stay: ``tel:1;ext=2`` is ``1 ext 2``. Letters
    and control characters stay.
    """
    visible = _BLANKS.sub(" ", _INVISIBLE.sub("", _DASHES.sub("-", number))).strip()
    if prefix := _TEL.match(visible):
        visible, *parameters = visible[prefix.end() :].split(";")
        visible += "".join(f";{each}" for each in parameters if each[:4].lower() == "ext=")
    return _BLANKS.sub(" ", _EXTENSION.sub(" ext ", visible)).strip()


def is_phone(number: str) -> bool:
    """Return whether a clean number has a digit or a letter, and is one line."""
    return any(map(str.isalnum, number)) and not _NOT_ONE_LINE.search(number)


def key_of(day: dt.date) -> int:
    """Return the day of the year of a date, as month times 100 plus day."""
    return day.month * 100 + day.day


def read_month_day(text: str) -> int | None:
    """Return the key of ``--04-12`` or ``--0412`` (ISO 8601:2000), None if it is no day."""
    match = _MONTH_DAY.fullmatch(text)
    try:
        return key_of(dt.date(LEAP_YEAR, int(match[1]), int(match[2]))) if match else None
    except ValueError:
        return None


def show_birthday(day: dt.date | None, key: int | None) -> str | None:
    """Return a birthday as text: ``1985-04-12``, without its year ``--04-12``."""
    if day is not None:
        return day.isoformat()
    return None if key is None else f"--{key // 100:02}-{key % 100:02}"


def search_text(texts: Iterable[str], phones: Iterable[str]) -> str:
    """Return the folded lines in which a search for a contact looks.

    Each number is in them as it is written, by its digits, and if it has letters without what is
    between them.
    """
    numbers = [*filter(None, phones)]
    lines = [*filter(None, texts), *numbers]
    for number in numbers:
        short = "".join(filter(str.isalnum, number))
        lines += dict.fromkeys((_digits(number), short))
    return fold_for_search("\n".join(filter(None, lines)))


def search_words(text: str) -> tuple[list[str], str]:
    """Return what a search looks for: its folded words, and the digits of a phone number.

    Of many words these are the longest. The digits are '' unless the text has nothing that no
    number is written with.
    """
    words = sorted({*fold_for_search(text).split()}, key=lambda word: (-len(word), word))
    return words[:MAX_WORDS], _digits(text) if _NUMBER.fullmatch(text) else ""


def _digits(number: str) -> str:
    return "".join(str(int(character)) for character in number if character.isdecimal())
