"""Writes vCards 4.0 (RFC 6350)."""

import re
from collections.abc import Sequence

from accounts.address_book import clean_line
from accounts.vcards.cards import Card, Entry, carried
from accounts.vcards.labels import NOT_FIRST, to_parameter

LINE_BYTES = 75
_TO_ESCAPE = re.compile(r"[\\;,]")


def write(card: Card) -> str:
    """Return a card as vCard 4.0, in lines of at most 75 bytes that end in CRLF.

    No field can inject a property: line ends are escaped, and characters that some readers take as
    a line end are converted to one first. What was written is read back as it was.
    """
    full_name = f"{card.first_name} {card.last_name}".strip() or card.email
    birthday = card.birthday.isoformat().replace("-", "") if card.birthday else ""
    if not birthday and card.month_day:
        birthday = f"--{card.month_day:04}"
    labelled = [
        *(("ADR", "", entry.label, f";;{_escaped(entry.value)};;;;") for entry in card.addresses),
        *_in_order("EMAIL", card.email, card.other_emails),
        *_in_order("TEL", card.phone, card.other_phones),
    ]
    lines = [
        "BEGIN:VCARD",
        "VERSION:4.0",
        f"{'UID' if card.uid.startswith('urn:uuid:') else 'UID;VALUE=text'}:{_escaped(card.uid)}",
        f"BDAY:{birthday}" if birthday else "",
        f"FN:{_escaped(full_name)}",
        f"N:{_escaped(card.last_name)};{_escaped(card.first_name)};;;",
        f"NOTE:{_escaped(card.notes)}" if card.notes else "",
        f"ORG:{_escaped(card.company)}" if card.company else "",
        f"TITLE:{_escaped(card.job_title)}" if card.job_title else "",
        f"URL;VALUE=uri:{clean_line(card.url)}" if card.url else "",
    ]
    for number, (name, parameters, label, value) in enumerate(labelled, start=1):
        type_parameter, custom_label = to_parameter(label)
        group = f"item{number}." if custom_label else ""
        lines.append(f"{group}{name}{parameters}{type_parameter}:{value}")
        if custom_label:
            lines.append(f"{group}X-ABLabel:{_escaped(custom_label)}")
    return "".join(_folded(line) for line in (*lines, "END:VCARD") if line)


def _in_order(name: str, first: str, others: Sequence[Entry]) -> list[tuple[str, str, str, str]]:
    """Return name, parameters, label and value of the properties of a first value and others."""
    parameters = ";PREF=1" if others else ""
    properties = [(name, parameters, "", _escaped(first))] if first else []
    parameters = "" if first else f";{NOT_FIRST}"
    return properties + [(name, parameters, entry.label, _escaped(entry.value)) for entry in others]


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(r"\\\g<0>", carried(text)).replace("\n", "\\n")


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
