"""vCards: from the text of a file to contacts and back (RFC 6350, RFC 2426). No ORM, no HTTP.

vobject does the reading and writing, but it never sees a line that has not been looked at here:

- its pattern for a line takes exponential time on ``EMAIL;a,,,,,,…`` without a colon (22 commas
  0.6 s, each further one twice that);
- it cuts a text at a comma that should have been escaped, and adds "eof" to one that ends in a
  backslash;
- it decodes with whatever codec ``CHARSET`` names;
- it folds by characters although the limit of 75 is one of bytes (RFC 6350, 3.2).
"""

import datetime as dt
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace

import vobject
from vobject.base import Component, ContentLine, VObjectError
from vobject.vcard import Name

VERSIONS = ("3.0", "4.0")
LINE_BYTES = 75
NO_UID = uuid.UUID("5d2f5a3c-5d0e-4d5c-9e0b-0c8a3f2f6a10")  # the namespace of derived UIDs
NO_YEAR = "The birthday has no full date with a year, so it was not imported."
UNREADABLE = "The card cannot be read as a vCard: the line of {} is malformed."

_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)?([A-Za-z0-9_-]+)[;:]")
_VALUE = r'(?:"[^"]*"|[^";:,]*)'
# What follows a name, with one way only to match it: see above.
_PARAMETERS = re.compile(rf"(?:;[A-Za-z0-9_-]+(?:={_VALUE}(?:,{_VALUE})*)?)*:")
_ENCODED = re.compile(r"ENCODING|QUOTED-PRINTABLE|BASE64", re.IGNORECASE)
_TO_REPAIR = re.compile(r"\\.|\\\Z|,", re.DOTALL)
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?", re.DOTALL)
# All that some reader takes for the end of a line, not only what RFC 6350 calls so.
_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_NOT_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Card:
    """What of a vCard is kept. The first five are one line each and trimmed."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    uid: str = ""
    birthday: dt.date | None = None
    notes: str = ""


@dataclass(frozen=True)
class Reading:
    """The card at ``index`` (from 0) of a file, or the ``reason`` why it cannot be used.

    ``notices`` are sentences about what the card holds and a contact cannot.
    """

    index: int
    card: Card | None = None
    reason: str = ""
    notices: tuple[str, ...] = ()
    is_birthday_lost: bool = False


class Unreadable(Exception):
    """The card cannot be used; the message is a sentence for whoever sent it."""


def carried(text: str) -> str:
    r"""Return a text as a vCard can carry it: every line end is ``\n``, control characters go."""
    return _CONTROLS.sub("", _BREAKS.sub("\n", text))


def write(card: Card) -> str:
    """Return a card as vCard 4.0, in lines of at most 75 bytes that end in CRLF.

    Whatever the fields hold stays in its own property: line ends are escaped, and characters that
    some readers take for a line end become one.
    """
    component = vobject.vCard()
    component.add("version").value = "4.0"
    uid = component.add("uid")
    uid.value = carried(card.uid)
    if not card.uid.startswith("urn:uuid:"):
        uid.params["VALUE"] = ["text"]
    full_name = f"{card.first_name} {card.last_name}".strip() or card.email
    component.add("fn").value = carried(full_name)
    component.add("n").value = Name(given=carried(card.first_name), family=carried(card.last_name))
    for name, value in (("email", card.email), ("tel", card.phone), ("note", card.notes)):
        if value:
            component.add(name).value = carried(value)
    if card.birthday:
        component.add("bday").value = f"{card.birthday:%Y%m%d}".zfill(8)
    whole: str = component.serialize(lineLength=sys.maxsize)
    return "".join(_folded(line) for line in whole.split("\r\n") if line)


def read(text: str) -> Iterator[Reading]:
    """Yield what is to be said of each card in a text, whatever the text is.

    A card is from a line ``BEGIN:VCARD`` to the next ``END:VCARD``; lines outside of cards are
    ignored. Takes time in proportion to the text.
    """
    for index, lines in enumerate(_cards(text)):
        try:
            yield replace(_read(lines), index=index)
        except Unreadable as error:
            yield Reading(index, reason=str(error))


def _cards(text: str) -> Iterator[list[str]]:
    """Yield the unfolded lines of each card, END included if the card has one."""
    card: list[str] | None = None
    for line in _unfolded(text):
        word = line.strip().upper()
        if word == "BEGIN:VCARD":
            if card is not None:
                yield card
            card = []
        elif card is not None:
            card.append(line)
            if word == "END:VCARD":
                yield card
                card = None
    if card is not None:
        yield card


def _unfolded(text: str) -> Iterator[str]:
    parts: list[str] = []
    for line in _LINE_END.split(text.removeprefix("\ufeff")):
        if line[:1] in (" ", "\t"):
            parts.append(line[1:])
        else:
            yield "".join(parts)
            parts = [line]
    yield "".join(parts)


def _read(lines: list[str]) -> Reading:
    if not lines or lines[-1].strip().upper() != "END:VCARD":
        raise Unreadable("The card has no END:VCARD of its own.")
    component = _component(lines[:-1])
    version = _text(component, "version")
    if version not in VERSIONS:
        raise Unreadable("The card is not a vCard of version 3.0 or 4.0.")
    notices = []
    for name, title in (("email", "e-mail address"), ("tel", "phone number")):
        if len(component.contents.get(name, [])) > 1:
            notices.append(f"The card has more than one {title}; the preferred one was imported.")
    birthday, is_birthday_lost = _birthday(component)
    if is_birthday_lost:
        notices.append(NO_YEAR)
    email = _text(component, "email").removeprefix("mailto:")
    first_name, last_name = _names(component, email)
    card = Card(
        first_name=first_name,
        last_name=last_name,
        email=email,
        phone=_phone(_text(component, "tel")),
        uid=_text(component, "uid"),
        birthday=birthday,
        notes="\n".join(line.value for line in component.contents.get("note", [])),
    )
    if not (card.first_name or card.last_name or card.email):
        raise Unreadable("The card has neither a name nor an e-mail address.")
    if not card.uid:
        card = replace(card, uid=uuid.uuid5(NO_UID, repr(astuple(card))).urn)
    return Reading(0, card, notices=tuple(notices), is_birthday_lost=is_birthday_lost)


def _component(lines: list[str]) -> Component:
    """Return vobject's view of those lines of a card that matter. Raises :class:`Unreadable`."""
    kept = []
    for line in filter(str.strip, lines):
        named = _NAME.match(line)
        name = named.group(1).upper() if named else ""
        if named is None:
            raise Unreadable(UNREADABLE.format("one of its properties"))
        if name not in ("VERSION", "UID", "FN", "N", "EMAIL", "TEL", "BDAY", "NOTE"):
            continue
        parameters = _PARAMETERS.match(line, named.end() - 1)
        if parameters is None:
            raise Unreadable(UNREADABLE.format(name))
        if _ENCODED.search(parameters.group()):
            raise Unreadable(f"The value of {name} is encoded as vCard 3.0 and 4.0 do not know it.")
        value = _repaired(line[parameters.end() :], is_list=name == "N")
        kept.append(line[: parameters.end()] + value)
    try:
        return vobject.readOne("\r\n".join(["BEGIN:VCARD", *kept, "END:VCARD"]))
    except VObjectError:
        raise Unreadable(UNREADABLE.format("one of its properties")) from None


def _repaired(value: str, *, is_list: bool) -> str:
    """Return a value with a backslash at its end, and commas unless they part a list, escaped."""

    def repair(found: re.Match[str]) -> str:
        text = found.group()
        return f"\\{text}" if text == "\\" or (text == "," and not is_list) else text

    return _TO_REPAIR.sub(repair, value)


def _text(component: Component, name: str) -> str:
    """Return the preferred value of a property as one line, '' without one."""
    lines = component.contents.get(name, [])
    return _one_line(min(lines, key=_preference).value) if lines else ""


def _preference(line: ContentLine) -> int:
    """Return the PREF of a property (1 is most wanted), 101 without one."""
    types = {each.lower() for each in [*line.params.get("TYPE", []), *line.singletonparams]}
    stated = [*line.params.get("PREF", []), "1" if "pref" in types else "101"][0]
    return int(stated) if re.fullmatch("[0-9]{1,3}", stated) else 101


def _one_line(text: str) -> str:
    return _NOT_ONE_LINE.sub(" ", text).strip()


def _names(component: Component, email: str) -> tuple[str, str]:
    """Return first and last name; a card with a full name alone has it as the first name.

    Middle names belong to the first name. A full name that is only the address is not a name.
    """
    first_name = last_name = ""
    for line in component.contents.get("n", [])[:1]:
        parts = (line.value.given, line.value.additional, line.value.family)
        given, additional, last_name = (_one_line(Name.toString(part)) for part in parts)
        first_name = f"{given} {additional}".strip()
    full_name = _text(component, "fn")
    if not (first_name or last_name) and full_name != email:
        first_name = full_name
    return first_name, last_name


def _phone(number: str) -> str:
    """Return a number without invisible characters and without the ``tel:`` of RFC 3966."""
    visible = " ".join(_INVISIBLE.sub("", number).split())
    if visible[:4].lower() != "tel:":
        return visible
    number, *parameters = visible[4:].split(";")
    extensions = [each[4:] for each in parameters if each.lower().startswith("ext=")]
    return " ext ".join([number, *extensions[:1]])


def _birthday(component: Component) -> tuple[dt.date | None, bool]:
    """Return the day of birth, and whether the card names one that is no full date."""
    for line in component.contents.get("bday", [])[:1]:
        found = _DATE.fullmatch(line.value.strip())
        if found and line.params.get("X-APPLE-OMIT-YEAR", [""])[:1] != [found.group(1)]:
            try:
                return dt.date(*map(int, found.groups())), False
            except ValueError:
                pass
        return None, bool(line.value.strip())
    return None, False


def _folded(line: str) -> str:
    """Return a line in pieces of at most 75 bytes that break no character (RFC 6350, 3.2)."""
    octets = line.encode()
    pieces, start, room = [], 0, LINE_BYTES
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, LINE_BYTES - 1
    pieces.append(octets[start:])
    return b"\r\n ".join(pieces).decode() + "\r\n"
