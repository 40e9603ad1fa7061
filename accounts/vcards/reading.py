"""Reads contacts from vCards 2.1, 3.0 and 4.0.

Reading accepts more than the specifications allow, because address books write it: commas that are
not escaped, types without ``TYPE=``, empty parameters, names in addresses. What a contact cannot
hold is left out and named; only a card that nothing names is skipped.
"""

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field, replace
from itertools import islice

from accounts import address_book
from accounts.address_book import clean_line, clean_lines
from accounts.vcards.cards import Card, Entry, LeftOut, Reading, carried
from accounts.vcards.labels import NOT_FIRST, to_label
from accounts.vcards.lines import MAX_LEFT_OUT, NO_PLACE, Lines, Property, find_cards, read_lines

NO_UID = uuid.UUID("5d2f5a3c-5d0e-4d5c-9e0b-0c8a3f2f6a10")  # the namespace of derived UIDs
NO_END = "The card has no END:VCARD of its own."
NAMELESS = "The card has neither a name nor an e-mail address."
NO_EMAIL = "It is no e-mail address."
NO_PHONE = (
    f"A phone number has a digit or a letter, and at most {address_book.MAX_PHONE} characters."
)
NO_DAY = "It is no date, and no day of a year."
ONLY_ONE = "A contact has only one."
TOO_MANY_ENTRIES = f"A contact has at most {address_book.MAX_ENTRIES} besides the first."
TOO_LONG_URL = f"It has more than {address_book.MAX_URL} characters."
TOO_LONG_UID = "It is too long; another was made from it."
CUT = "It is too long; its first {} characters were imported."
TITLES = "What stands before and after the name, such as Dr., was left out."
MORE = "{} more were left out."

NAMING = ("N", "FN", "EMAIL", "ORG", "NICKNAME")
# The fields that stay as they are where a property was left out.
FIELDS = {
    "BDAY": "birthday",
    "EMAIL": "email",
    "NOTE": "notes",
    "ORG": "company",
    "TEL": "phone",
    "TITLE": "job_title",
    "URL": "url",
}

_COMPONENT = re.compile(r"((?:[^\\;]|\\.?)*+)(?:;|\Z)", re.DOTALL)
_ESCAPED = re.compile(r'\\([\\;,:nN"])|,')
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?", re.DOTALL)
_NAMED_ADDRESS = re.compile(r"[^<>]*<([^<>]*)>\s*")
_NUMBER = re.compile("[0-9]{1,3}")

IsEmail = Callable[[str], bool]


def read(body: bytes, *, is_email: IsEmail) -> Iterator[Reading]:
    """Yield one reading for each card in a file. Raises nothing, whatever the file is.

    A card is from a line ``BEGIN:VCARD`` to its ``END:VCARD``; lines outside of cards are ignored.
    ``is_email`` says whether a contact may have an e-mail address. The time is linear in the length
    of the file, and of pictures nothing is copied.
    """
    derived: dict[str, Card] = {}
    for index, source in enumerate(find_cards(body)):
        if not source.is_complete:
            yield Reading(index, reason=NO_END)
            continue
        reading = _CardReader(read_lines(source), is_email).read(index)
        if reading.card is not None and not reading.card.uid:
            uid = _derive_uid(reading.card, derived)
            reading = replace(reading, card=replace(reading.card, uid=uid))
        yield reading


def _derive_uid(card: Card, derived: dict[str, Card]) -> str:
    """Return a UID for a card without one. Equal cards have equal ones, others in a file do not.

    What a contact could hold in 0.1.0 decides, so that a file is not imported a second time.
    """
    identity = (
        card.first_name, card.last_name, card.email, card.phone, "", card.birthday, card.notes
    )  # fmt: skip
    uid = uuid.uuid5(NO_UID, repr(identity)).urn
    if derived.setdefault(uid, card) != card:
        uid = uuid.uuid5(NO_UID, repr(astuple(card))).urn
    return uid


@dataclass
class _CardReader:
    """Makes a card of the lines of one, and collects what it leaves out."""

    lines: Lines
    is_email: IsEmail
    labels: dict[str, str] = field(init=False)  # by group

    def __post_init__(self) -> None:
        custom = reversed(self._of("X-ABLABEL"))
        self.labels = {each.group: clean_line(_unescaped(each.text)) for each in custom}

    def read(self, index: int) -> Reading:
        """Return the card with this index."""
        emails = self._entries("EMAIL", "email", self._email)
        phones = self._entries("TEL", "phone", self._phone)
        birthday, month_day = self._birthday()
        notes = "\n".join(_unescaped(note.text) for note in self._of("NOTE"))
        first_name, last_name = self._names(emails[0])
        card = Card(
            first_name=first_name,
            last_name=last_name,
            email=emails[0],
            other_emails=emails[1],
            phone=phones[0],
            other_phones=phones[1],
            addresses=self._addresses(),
            uid=self._uid(),
            birthday=birthday,
            month_day=month_day,
            notes=self._fit("NOTE", carried(notes), address_book.MAX_NOTES),
            company=self._company(),
            job_title=self._job_title(),
            url=self._url(),
        )
        card = self._named(card)
        left_out = [*self.lines.left_out]
        if not (card.first_name or card.last_name or card.email):
            why = [
                f"{each.property}: {each.reason}" for each in left_out if each.property in NAMING
            ]
            return Reading(index, reason=" ".join([NAMELESS, *why]))
        unread = frozenset(FIELDS[each.property] for each in left_out if each.property in FIELDS)
        if len(left_out) > MAX_LEFT_OUT:
            more = MORE.format(len(left_out) - MAX_LEFT_OUT + 1)
            left_out = [*left_out[: MAX_LEFT_OUT - 1], LeftOut("", more)]
        return Reading(index, card, left_out=tuple(left_out), unread=unread)

    def _of(self, name: str) -> list[Property]:
        return self.lines.properties.get(name, [])

    def _only(self, name: str, texts: Iterable[str]) -> str:
        """Return the first text that is not empty; name the property if there are more."""
        filled = [*filter(None, texts)]
        if len(filled) > 1:
            self.lines.leave_out(name, ONLY_ONE)
        return filled[0] if filled else ""

    def _line(self, name: str) -> str:
        return self._only(name, (clean_line(_unescaped(each.text)) for each in self._of(name)))

    def _fit(self, name: str, text: str, length: int) -> str:
        """Return the beginning of a text that is too long, and name it."""
        if len(text) <= length:
            return text
        self.lines.leave_out(name, CUT.format(length))
        return text[:length] if name == "NOTE" else text[:length].strip()

    def _label(self, prop: Property) -> str:
        custom = self.labels.get(prop.group, "") if prop.group else ""
        return to_label(prop.params.get("TYPE", ()), custom)

    def _entries(
        self, name: str, field_name: str, clean: Callable[[str], str]
    ) -> tuple[str, tuple[Entry, ...]]:
        """Return the preferred value of a name, and the others with their labels."""
        found = []
        for prop in self._of(name):
            if value := clean(clean_line(_unescaped(prop.text))):
                found.append((prop, value))
        mark, _, value = NOT_FIRST.partition("=")
        candidates = [each for each in found if value not in each[0].params.get(mark, ())]
        first = min(candidates, key=lambda each: _preference(each[0]), default=None)
        others = tuple(
            Entry(self._label(prop), text)
            for prop, text in found
            if first is None or prop is not first[0]
        )
        if len(others) > address_book.MAX_ENTRIES:
            self.lines.leave_out(name, TOO_MANY_ENTRIES)
        return first[1] if first else "", others[: address_book.MAX_ENTRIES]

    def _email(self, text: str) -> str:
        match = _NAMED_ADDRESS.fullmatch(text)
        address = match[1].strip() if match else text
        if address[:7].lower() == "mailto:":
            address = address[7:]
        if address and not self.is_email(address):
            self.lines.leave_out("EMAIL", NO_EMAIL)
            return ""
        return address

    def _phone(self, text: str) -> str:
        number = address_book.clean_phone(text)
        if number and (not address_book.is_phone(number) or len(number) > address_book.MAX_PHONE):
            self.lines.leave_out("TEL", NO_PHONE)
            return ""
        return number

    def _addresses(self) -> tuple[Entry, ...]:
        addresses = []
        for prop in self._of("ADR"):
            parts = [*map(clean_lines, _components(prop.text)), *[""] * 7]
            place = " ".join(filter(None, parts[3:6]))
            text = "\n".join(filter(None, (*parts[:3], place, parts[6])))
            if text := clean_lines(self._fit("ADR", text, address_book.MAX_ADDRESS)):
                addresses.append(Entry(self._label(prop), text))
        if len(addresses) > address_book.MAX_ENTRIES:
            self.lines.leave_out("ADR", f"A contact has at most {address_book.MAX_ENTRIES}.")
        return tuple(addresses[: address_book.MAX_ENTRIES])

    def _uid(self) -> str:
        uids = self._of("UID")
        uid = clean_line(_unescaped(uids[0].text)) if uids else ""
        if len(uid) > 255:
            self.lines.leave_out("UID", TOO_LONG_UID)
            return uuid.uuid5(NO_UID, uid).urn
        return uid

    def _birthday(self) -> tuple[dt.date | None, int | None]:
        """Return the date of a birthday; or None, and the day of the year if that is known."""
        for birthday in self._of("BDAY")[:1]:
            value = clean_line(_unescaped(birthday.text))
            match = _DATE.fullmatch(value)
            no_year = ("0000", *birthday.params.get("X-APPLE-OMIT-YEAR", ()))
            if match and match[1] not in no_year:
                try:
                    return dt.date(*map(int, match.groups())), None
                except ValueError:
                    pass
            else:
                text = f"--{match[2]}-{match[3]}" if match else value.partition("T")[0]
                if key := address_book.read_month_day(text):
                    return None, key
            if value:
                self.lines.leave_out("BDAY", NO_DAY)
        return None, None

    def _company(self) -> str:
        companies = (
            clean_line(", ".join(filter(None, _components(each.text)))) for each in self._of("ORG")
        )
        return self._fit("ORG", self._only("ORG", companies), address_book.MAX_LINE)

    def _job_title(self) -> str:
        title, role = self._line("TITLE"), self._line("ROLE")
        if title and role and role != title:
            self.lines.leave_out("ROLE", ONLY_ONE)
        return self._fit("TITLE", title or role, address_book.MAX_LINE)

    def _url(self) -> str:
        urls = sorted(self._of("URL"), key=_preference)
        texts = [
            clean_line(url.text if "URI" in url.params.get("VALUE", ()) else _unescaped(url.text))
            for url in urls
        ]
        if any(len(text) > address_book.MAX_URL for text in texts):
            self.lines.leave_out("URL", TOO_LONG_URL)
        return self._only("URL", (text for text in texts if len(text) <= address_book.MAX_URL))

    def _names(self, email: str) -> tuple[str, str]:
        """Return first and last name; a full name alone becomes the first name.

        Middle names belong to the first name. A full name that is the e-mail address is no name.
        """
        first_name = last_name = ""
        for name in self._of("N")[:1]:
            comma = "," if self.lines.version == "2.1" else " "
            components = [*map(clean_line, _components(name.text, comma=comma)), *[""] * 5]
            last_name, given_name, additional_names, before, after = components[:5]
            first_name = f"{given_name} {additional_names}".strip()
            if before or after:
                self.lines.leave_out("N", TITLES)
        if not (first_name or last_name):
            names = [clean_line(_unescaped(each.text)) for each in self._of("FN")]
            first_name = next((name for name in names if name and name != email), "")
            return self._fit("FN", first_name, address_book.MAX_NAME), ""
        first_name, last_name = (
            self._fit("N", each, address_book.MAX_NAME) for each in (first_name, last_name)
        )
        return first_name, last_name

    def _named(self, card: Card) -> Card:
        """Return the card; without any other name it is called by its company or nickname."""
        nickname = self._line("NICKNAME")
        if card.first_name or card.last_name or card.email:
            if nickname:
                self.lines.leave_out("NICKNAME", NO_PLACE)
            return card
        name = card.company or nickname
        return replace(card, first_name=name[: address_book.MAX_NAME].strip())


def _components(value: str, *, comma: str = ",") -> list[str]:
    """Return the parts of a value, at most seven, as texts."""
    matches = islice(_COMPONENT.finditer(value), 7)
    return [_unescaped(match[1], comma=comma).strip() for match in matches]


def _unescaped(value: str, *, comma: str = ",") -> str:
    """Return the text of a value; ``comma`` replaces the commas that are not escaped."""

    def decode(match: re.Match[str]) -> str:
        character = match[1] or comma
        return "\n" if character in "nN" else character

    return _ESCAPED.sub(decode, value)


def _preference(prop: Property) -> int:
    """Return the PREF of a property (1 is preferred most), 101 without one."""
    default = "1" if "PREF" in prop.params.get("TYPE", ()) else "101"
    preference = prop.params.get("PREF", [default])[0]
    return int(preference) if _NUMBER.fullmatch(preference) else 101
