"""Reads the lines of vCards: finds the cards in a file, and the properties of a card.

A file may be large, and most of it pictures. So it stays bytes: cards and lines are places in it,
and only the lines that a contact can hold are copied and decoded. Each pattern can match a text in
one way only, and none starts again within a run that it has seen, so the time is linear.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from accounts.vcards.cards import LeftOut

MAX_LINE_BYTES = 2**18  # three times what the longest notes need in quoted-printable
MAX_PROPERTIES = 300
MAX_LEFT_OUT = 20
NAME_BYTES = 50
HEAD_BYTES = 2**10

READ = frozenset(
    [
        "ADR",
        "BDAY",
        "EMAIL",
        "FN",
        "N",
        "NICKNAME",
        "NOTE",
        "ORG",
        "ROLE",
        "TEL",
        "TITLE",
        "UID",
        "URL",
        "VERSION",
        "X-ABLABEL",
    ]
)
# What says nothing about the person.
PASSED_OVER = frozenset(
    [
        "BEGIN",
        "CLASS",
        "CLIENTPIDMAP",
        "END",
        "KIND",
        "MAILER",
        "NAME",
        "PRODID",
        "PROFILE",
        "REV",
        "SORT-STRING",
        "SOURCE",
        "X-ABADR",
        "X-ABSHOWAS",
        "X-ABUID",
        "XML",
    ]
)
CHARSETS = frozenset(
    [
        "ASCII",
        "US-ASCII",
        "UTF-8",
        "UTF8",
        "KOI8-R",
        "KOI8-U",
        "GB2312",
        "GBK",
        "GB18030",
        "BIG5",
        "EUC-JP",
        "EUC-KR",
        "SHIFT_JIS",
        "MACINTOSH",
    ]
    + [f"ISO-8859-{number}" for number in (*range(1, 12), *range(13, 17))]
    + [f"WINDOWS-{number}" for number in range(1250, 1259)]
)

NO_PLACE = "A contact has no place for it."
PICTURE = "Pictures are not imported."
NO_PROPERTY = "A line of the card is not a property."
MALFORMED = "It is malformed."
TOO_LONG = f"It has more than {MAX_LINE_BYTES // 2**10} KiB."
TOO_MANY = f"Only the first {MAX_PROPERTIES} lines of a card are read."
ENCODED = "It is in an encoding that is not known here."
NO_CHARSET = "It is in a character set that is not known here."
GUESSED = "It names no character set; it was read as Windows-1252."
NO_TEXT = "Its bytes are no text in UTF-8, or in the character set that it names."
AGENT = "A card within a card is not imported."

_BOM = b"\xef\xbb\xbf"
_FIRST = re.compile(rb"(BEGIN):VCARD[ \t]*(?=[\r\n]|\Z)", re.IGNORECASE)
_MARK = re.compile(rb"[\r\n](BEGIN|END):VCARD[ \t]*(?=[\r\n]|\Z)", re.IGNORECASE)
_AGENT = re.compile(rb"[\r\n](?:[\w-]++\.)?AGENT[^\r\n:]*+:[ \t]*+[\r\n]*+\Z", re.IGNORECASE)
_BREAKS = re.compile(rb"[\r\n]*+")
_LINE_END = re.compile(rb"(?<![\r\n])[\r\n]++(?![ \t])")
# A line that ends in "=" goes on, unless the next one is empty.
_QUOTED_END = re.compile(
    rb"(?<![=\r\n])[\r\n]++(?![ \t])|(?<==)(?:\r\n|\n|\r(?!\n))[\r\n]++(?![ \t])"
)
_SOFT_BREAK = re.compile(rb"=(?:\r\n|\r|\n)")
_FOLD = re.compile(rb"(?<![\r\n])[\r\n]++[ \t]")
_FOLD_OF_2_1 = re.compile(rb"(?<![\r\n])[\r\n]++(?=[ \t])")
_NAME = re.compile(rb"[ \t]*+(?:([A-Za-z0-9_-]++)\.)?([A-Za-z0-9_-]++)[ \t]*+(?=[;:])")
# Android writes X-CUSTOM(CHARSET=UTF-8,...) as a type.
_PARAM = re.compile(
    r';[ \t]*+(?:([A-Za-z0-9_-]++)(?:\([^()]*+\))?+(?:=((?:"[^"]*+"|[^";:])*+))?+)?+'
)
_PARAMS = re.compile(rb"(?:%s)*+:" % _PARAM.pattern.encode())


class Property(NamedTuple):
    """One line of a card: its parameters in upper case, by name, and its text, still escaped.

    A value without a name, which vCard 2.1 allows, is a value of ``TYPE``. The escapes of RFC 6868
    are not decoded: no parameter that is read here needs one.
    """

    group: str
    params: dict[str, list[str]]
    text: str


@dataclass
class Source:
    """A card as places in a file: it is in ``spans``, and cards within it are between them."""

    body: bytes
    spans: list[tuple[int, int]]
    is_complete: bool


@dataclass
class Lines:
    """The properties of a card by name, and what was left out."""

    properties: dict[str, list[Property]] = field(default_factory=dict)
    left_out: dict[LeftOut, None] = field(default_factory=dict)
    version: str = ""

    def leave_out(self, name: str, reason: str) -> None:
        """Note what was left out, each property and reason once."""
        self.left_out[LeftOut(name[:NAME_BYTES], reason)] = None


def find_cards(body: bytes) -> Iterator[Source]:
    """Yield the cards of a file: from a line ``BEGIN:VCARD`` to its ``END:VCARD``.

    Lines outside of cards are ignored. A card in an ``AGENT`` (vCard 2.1) is a part of its card.
    """
    start, depth = -1, 0
    spans: list[tuple[int, int]] = []
    for mark in _marks(body):
        if mark[1].upper() == b"BEGIN":
            if depth or (start >= 0 and _ends_in_agent(body, start, mark.start())):
                spans += [] if depth else [(start, mark.start())]
                depth += 1
                continue
            if start >= 0:
                yield Source(body, [*spans, (start, mark.start())], is_complete=False)
            start, spans = mark.end(), []
        elif depth:
            depth -= 1
            start = mark.end()
        elif start >= 0:
            yield Source(body, [*spans, (start, mark.start())], is_complete=True)
            start, spans = -1, []
    if start >= 0:
        yield Source(body, [*spans, (start, len(body))], is_complete=False)


def read_lines(source: Source) -> Lines:
    """Return the properties of a card that a contact may hold."""
    lines = Lines()
    if len(source.spans) > 1:
        lines.leave_out("AGENT", AGENT)
    for number, (start, end) in enumerate(_places(source)):
        if number == MAX_PROPERTIES:
            lines.leave_out("", TOO_MANY)
            break
        _read_line(source.body, start, end, lines)
    return lines


def _marks(body: bytes) -> Iterator[re.Match[bytes]]:
    start = len(_BOM) if body.startswith(_BOM) else 0
    if first := _FIRST.match(body, start):
        yield first
        start = first.end()
    yield from _MARK.finditer(body, start)


def _ends_in_agent(body: bytes, start: int, end: int) -> bool:
    return _AGENT.search(body, max(start, end - HEAD_BYTES), end) is not None


def _places(source: Source) -> Iterator[tuple[int, int]]:
    """Yield start and end of each line, with those that continue it."""
    body = source.body
    for start, stop in source.spans:
        place = start
        while (place := _end(_BREAKS.match(body, place, stop), stop)) < stop:
            match = _LINE_END.search(body, place, stop)
            if match and body[match.start() - 1 : match.start()] == b"=":
                head, colon, _ = body[place : place + HEAD_BYTES].partition(b":")
                if colon and b"QUOTED-PRINTABLE" in head.upper():
                    match = _QUOTED_END.search(body, place, stop)
            end = match.start() if match else stop
            yield place, end
            place = end


def _end(match: re.Match[bytes] | None, default: int) -> int:
    return match.end() if match else default


def _read_line(body: bytes, start: int, end: int, lines: Lines) -> None:
    """Read one line into ``lines``."""
    head = _FOLD.sub(b"", body[start : min(end, start + HEAD_BYTES)])
    match = _NAME.match(head)
    if match is None:
        if head.strip():
            lines.leave_out("", NO_PROPERTY)
        return
    name = match[2].decode().upper()
    if name in PASSED_OVER:
        return
    if name not in READ:
        if end - start > HEAD_BYTES or not head.rstrip(b"; \t").endswith(b":"):
            lines.leave_out(name, PICTURE if name in ("PHOTO", "LOGO") else NO_PLACE)
        return
    if end - start > MAX_LINE_BYTES:
        lines.leave_out(name, TOO_LONG)
        return
    prop = _read_property(name, body[start:end], lines)
    if prop is not None:
        lines.properties.setdefault(name, []).append(prop)
        if name == "VERSION":
            lines.version = prop.text.strip()


def _read_property(name: str, raw: bytes, lines: Lines) -> Property | None:
    """Return the property in a line, None if it was left out."""
    fold = _FOLD_OF_2_1 if lines.version == "2.1" else _FOLD
    line = fold.sub(b"", raw)
    name_match = _NAME.match(line)
    params_match = _PARAMS.match(line, name_match.end()) if name_match else None
    if name_match is None or params_match is None:
        lines.leave_out(name, MALFORMED)
        return None
    params = _params(params_match[0].decode("utf-8", "replace"))
    encodings = {*params.get("ENCODING", ()), *params.get("TYPE", ())}
    value = line[params_match.end() :]
    if "QUOTED-PRINTABLE" in encodings:
        # Again from the start: a line that continues may begin with a blank that is text.
        line = fold.sub(b"", _SOFT_BREAK.sub(b"", raw))
        value = binascii.a2b_qp(line[params_match.end() :])
    elif {*params.get("ENCODING", ())} - {"7BIT", "8BIT", ""} or "BASE64" in encodings:
        lines.leave_out(name, ENCODED)
        return None
    text = _decoded(name, value, params.get("CHARSET", [""])[0], lines)
    if text is None:
        return None
    return Property((name_match[1] or b"").decode().upper(), params, text)


def _decoded(name: str, value: bytes, charset: str, lines: Lines) -> str | None:
    """Return the text of a value, None if it was left out."""
    if charset and charset not in CHARSETS:
        lines.leave_out(name, NO_CHARSET)
        return None
    try:
        return value.decode(charset or "UTF-8")
    except UnicodeDecodeError:
        pass
    if not charset and lines.version == "2.1":
        try:
            text = value.decode("windows-1252")
        except UnicodeDecodeError:
            pass
        else:
            lines.leave_out(name, GUESSED)
            return text
    lines.leave_out(name, NO_TEXT)
    return None


def _params(text: str) -> dict[str, list[str]]:
    """Return the parameters in a text such as ``;TYPE="voice,home";PREF=1:``."""
    params: dict[str, list[str]] = {}
    for match in _PARAM.finditer(text.upper()):
        name, values = match.groups()
        if values is None:
            name, values = "TYPE", name or ""
        params.setdefault(name, []).extend(values.replace('"', "").split(","))
    return params
