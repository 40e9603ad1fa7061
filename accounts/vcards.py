"""vCards: reads and writes contacts as text (RFC 6350, RFC 2426). No ORM, no HTTP.

Reading accepts more than the RFCs allow, because address books write it: commas that are not
escaped, types without ``TYPE=``, empty parameters. It does not decode quoted-printable and base64:
a card is refused if one of its ``PROPERTIES`` is encoded. Each pattern can match a text in one way
only, so the time is linear in its length.
"""

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from itertools import islice
from typing import NamedTuple

VERSIONS = ("3.0", "4.0")
PROPERTIES = ("VERSION", "UID", "FN", "N", "EMAIL", "TEL", "BDAY", "NOTE")  # all others are ignored
LINE_BYTES = 75
NO_UID = uuid.UUID("5d2f5a3c-5d0e-4d5c-9e0b-0c8a3f2f6a10")  # the namespace of derived UIDs
NO_YEAR = "The birthday has no full date with a year, so it was not imported."
UNREADABLE = "The card cannot be read as a vCard: the line of {} is malformed."

_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)?([A-Za-z0-9_-]+)[;:]")
_PARAM = re.compile(r';(?:([A-Za-z0-9_-]++)(?:=((?:"[^"]*+"|[^";:])*+))?+)?+')
_PARAMS = re.compile(rf"(?:{_PARAM.pattern})*+:")
_COMPONENT = re.compile(r"((?:[^\\;]|\\.?)*+)(?:;|\Z)", re.DOTALL)
_ESCAPED = re.compile(r'\\([\\;,nN"])|,')
_TO_ESCAPE = re.compile(r"[\\;,]")
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?", re.DOTALL)
# All characters that any reader takes as the end of a line, not only those of RFC 6350.
_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_NOT_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Card:
    """The fields of a contact in a vCard. The first five are one line each and trimmed."""

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

    ``notices`` are sentences about content of the card that a contact cannot store.
    """

    index: int
    card: Card | None = None
    reason: str = ""
    notices: tuple[str, ...] = ()
    is_birthday_lost: bool = False


class Unreadable(Exception):
    """The card cannot be used; the message is a sentence for the user who sent it."""


class Property(NamedTuple):
    """One line of a card: its parameters in upper case, by name, and its value, still escaped.

    A value without a name, which vCard 2.1 allows, is a value of ``TYPE``. The escapes of RFC 6868
    are not decoded: no parameter that is read here needs one.
    """

    params: dict[str, list[str]]
    value: str


def carried(text: str) -> str:
    r"""Return a text as a vCard can hold it: line ends are ``\n``, no control characters."""
    return _CONTROLS.sub("", _BREAKS.sub("\n", text))


def write(card: Card) -> str:
    """Return a card as vCard 4.0, in lines of at most 75 bytes that end in CRLF.

    No field can inject a property: line ends are escaped, and characters that some readers take as
    a line end are converted to one first.
    """
    full_name = f"{card.first_name} {card.last_name}".strip() or card.email
    lines = [
        "BEGIN:VCARD",
        "VERSION:4.0",
        f"{'UID' if card.uid.startswith('urn:uuid:') else 'UID;VALUE=text'}:{_escaped(card.uid)}",
        f"BDAY:{card.birthday.isoformat().replace('-', '')}" if card.birthday else "",
        f"EMAIL:{_escaped(card.email)}" if card.email else "",
        f"FN:{_escaped(full_name)}",
        f"N:{_escaped(card.last_name)};{_escaped(card.first_name)};;;",
        f"NOTE:{_escaped(card.notes)}" if card.notes else "",
        f"TEL:{_escaped(card.phone)}" if card.phone else "",
        "END:VCARD",
    ]
    return "".join(_folded(line) for line in lines if line)


def read(text: str) -> Iterator[Reading]:
    """Yield one reading for each card in a text. Raises nothing, whatever the text is.

    A card is from a line ``BEGIN:VCARD`` to the next ``END:VCARD``; lines outside of cards are
    ignored. The time is linear in the length of the text.
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
    properties = _properties(lines[:-1])
    if _line(properties["VERSION"]) not in VERSIONS:
        raise Unreadable("The card is not a vCard of version 3.0 or 4.0.")
    notices = []
    for name, title in (("EMAIL", "e-mail address"), ("TEL", "phone number")):
        if len(properties[name]) > 1:
            notices.append(f"The card has more than one {title}; the preferred one was imported.")
    birthday, is_birthday_lost = _birthday(properties["BDAY"])
    if is_birthday_lost:
        notices.append(NO_YEAR)
    email = _line(properties["EMAIL"]).removeprefix("mailto:")
    first_name, last_name = _names(properties["N"], _line(properties["FN"]), email)
    card = Card(
        first_name=first_name,
        last_name=last_name,
        email=email,
        phone=_phone(_line(properties["TEL"])),
        uid=_line(properties["UID"]),
        birthday=birthday,
        notes="\n".join(_unescaped(note.value) for note in properties["NOTE"]),
    )
    if not (card.first_name or card.last_name or card.email):
        raise Unreadable("The card has neither a name nor an e-mail address.")
    if not card.uid:
        card = replace(card, uid=uuid.uuid5(NO_UID, repr(astuple(card))).urn)
    return Reading(0, card, notices=tuple(notices), is_birthday_lost=is_birthday_lost)


def _properties(lines: list[str]) -> dict[str, list[Property]]:
    """Return the ``PROPERTIES`` of a card by name. Raises :class:`Unreadable`."""
    properties: dict[str, list[Property]] = {name: [] for name in PROPERTIES}
    is_continued = False
    for line in lines:
        if is_continued or not line.strip():
            is_continued = is_continued and line.endswith("=")
            continue
        name_match = _NAME.match(line)
        if name_match is None:
            raise Unreadable(UNREADABLE.format("one of its properties"))
        # A quoted-printable value that ends in "=" continues on the next line (vCard 2.1).
        is_continued = line.endswith("=") and "QUOTED-PRINTABLE" in line.partition(":")[0].upper()
        name = name_match[1].upper()
        if name not in properties:
            continue
        params_match = _PARAMS.match(line, name_match.end() - 1)
        if params_match is None:
            raise Unreadable(UNREADABLE.format(name))
        params = _params(params_match[0])
        if _is_encoded(params):
            raise Unreadable(f"The value of {name} is encoded as vCard 3.0 and 4.0 do not know it.")
        properties[name].append(Property(params, line[params_match.end() :]))
    return properties


def _params(text: str) -> dict[str, list[str]]:
    """Return the parameters in a text such as ``;TYPE="voice,home";PREF=1:``."""
    params: dict[str, list[str]] = {}
    for match in _PARAM.finditer(text.upper()):
        name, values = match.groups()
        if values is None:
            name, values = "TYPE", name or ""
        params.setdefault(name, []).extend(values.replace('"', "").split(","))
    return params


def _is_encoded(params: dict[str, list[str]]) -> bool:
    types, encodings = set(params.get("TYPE", ())), set(params.get("ENCODING", ()))
    return bool(types & {"QUOTED-PRINTABLE", "BASE64"} or encodings - {"7BIT", "8BIT"})


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(r"\\\g<0>", carried(text)).replace("\n", "\\n")


def _unescaped(value: str, *, comma: str = ",") -> str:
    """Return the text of a value; ``comma`` replaces the commas that are not escaped."""

    def decode(match: re.Match[str]) -> str:
        character = match[1] or comma
        return "\n" if character in "nN" else character

    return _ESCAPED.sub(decode, value)


def _line(properties: list[Property]) -> str:
    """Return the preferred value of a property as one line, '' without one."""
    return _one_line(_unescaped(min(properties, key=_preference).value)) if properties else ""


def _preference(prop: Property) -> int:
    """Return the PREF of a property (1 is preferred most), 101 without one."""
    default = "1" if "PREF" in prop.params.get("TYPE", ()) else "101"
    preference = prop.params.get("PREF", [default])[0]
    return int(preference) if re.fullmatch("[0-9]{1,3}", preference) else 101


def _one_line(text: str) -> str:
    return _NOT_ONE_LINE.sub(" ", text).strip()


def _names(names: list[Property], full_name: str, email: str) -> tuple[str, str]:
    """Return first and last name; a full name alone becomes the first name.

    Middle names belong to the first name. A full name equal to the e-mail address is no name.
    """
    first_name = last_name = ""
    for name in names[:1]:
        components = [
            _one_line(_unescaped(match[1], comma=" "))
            for match in islice(_COMPONENT.finditer(name.value), 3)
        ]
        last_name, given_name, additional_names = [*components, "", ""][:3]
        first_name = f"{given_name} {additional_names}".strip()
    if not (first_name or last_name) and full_name != email:
        first_name = full_name
    return first_name, last_name


def _phone(number: str) -> str:
    """Return a number without invisible characters and without the ``tel:`` of RFC 3966."""
    visible = " ".join(_INVISIBLE.sub("", number).split())
    if visible[:4].lower() != "tel:":
        return visible
    number, *parameters = visible[4:].split(";")
    extensions = [parameter[4:] for parameter in parameters if parameter.lower().startswith("ext=")]
    return " ext ".join([number, *extensions[:1]])


def _birthday(birthdays: list[Property]) -> tuple[dt.date | None, bool]:
    """Return the day of birth, and whether the card has a birthday that is no full date."""
    for birthday in birthdays[:1]:
        value = _unescaped(birthday.value).strip()
        match = _DATE.fullmatch(value)
        if match and birthday.params.get("X-APPLE-OMIT-YEAR", [""])[0] != match[1]:
            try:
                return dt.date(*map(int, match.groups())), False
            except ValueError:
                pass
        return None, bool(value)
    return None, False


def _folded(line: str) -> str:
    """Return a line folded at 75 bytes, without splitting a character (RFC 6350, 3.2)."""
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
