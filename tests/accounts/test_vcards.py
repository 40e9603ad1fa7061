import datetime as dt
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import vcards
from accounts.vcards import Card

UID = "urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1"
# One line without control characters, trimmed; texts without what no vCard can carry.
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).map(str.strip)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(vcards.carried)
SYNTAX = st.text(st.sampled_from('\\;,:"\nN nabé👩‍👩‍👧=^\t'), max_size=200)
CARDS = st.builds(
    Card,
    first_name=LINES | SYNTAX.map(lambda text: text.replace("\n", "").replace("\t", "").strip()),
    last_name=LINES,
    email=st.sampled_from(["", "a@example.org", '"a,b;c"@example.org', "é@example.org"]),
    phone=st.sampled_from(["", "+1 (555) 01-02/03 ext. 7", "#*31#"]),
    uid=LINES.filter(bool),
    birthday=st.none() | st.dates(),
    notes=TEXTS | SYNTAX,
).filter(lambda card: card.first_name or card.last_name or card.email)

ODD_LINES = [
    *("BEGIN:VCARD", "END:VCARD", "VERSION:4.0", "VERSION:3.0", "PROFILE:VCARD", "BEGIN:X"),
    *("N:a\\", "FN;", "FN:,\\", "a.b.N:", "BDAY:", 'TEL;TYPE="', "UID:x", " x", "\t"),
    *("EMAIL;PREF=x:a", "EMAIL;PREF=:a", "TEL:tel:;ext=", "N:" + ";," * 9, "NOTE;=:", "FN:\\n"),
]


def card_of(*lines, version="4.0"):
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def read(*lines, version="4.0"):
    (reading,) = vcards.read(card_of(*lines, version=version))
    return reading


@given(CARDS)
@settings(max_examples=300)
def test_what_is_written_is_read_back(card):
    text = vcards.write(card)
    (reading,) = vcards.read(text)
    only_name_is_the_address = card.email and (
        f"{card.first_name} {card.last_name}".strip() == card.email
    )
    if not only_name_is_the_address:
        assert reading == vcards.Reading(0, card)
    lines = text.split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    names = [re.match("[A-Z]+", line).group() for line in lines if line and line[0] != " "]
    assert len(names) == len(set(names))
    assert len(text.splitlines()) == len(lines) - 1


@given(st.text() | st.lists(st.sampled_from(ODD_LINES)).map("\n".join))
@settings(max_examples=300)
def test_any_text_is_read_without_an_error(text):
    for reading in vcards.read(text):
        assert (reading.card is None) == bool(reading.reason)
        assert not reading.reason or reading.reason.endswith(".")


def test_a_whole_card():
    card = Card(
        first_name="Zoë; Maria",
        last_name="O\\Neil, Jr.",
        email="zoe@example.org",
        phone="+49 30 1",
        uid=UID,
        birthday=dt.date(1985, 4, 12),
        notes="one\ntwo; three",
    )
    assert vcards.write(card) == (
        "BEGIN:VCARD\r\n"
        "VERSION:4.0\r\n"
        f"UID:{UID}\r\n"
        "BDAY:19850412\r\n"
        "EMAIL:zoe@example.org\r\n"
        "FN:Zoë\\; Maria O\\\\Neil\\, Jr.\r\n"
        "N:O\\\\Neil\\, Jr.;Zoë\\; Maria;;;\r\n"
        "NOTE:one\\ntwo\\; three\r\n"
        "TEL:+49 30 1\r\n"
        "END:VCARD\r\n"
    )


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_no_field_can_make_a_second_property(end):
    evil = f"a{end}TEL:666{end}END:VCARD"
    text = vcards.write(Card(evil, evil, evil, evil, evil, None, evil))
    assert not [line for line in text.splitlines() if line.startswith("TEL:666")]
    assert text.splitlines().count("END:VCARD") == 1
    assert len(list(vcards.read(text))) == 1


def test_long_lines_are_folded_by_bytes():
    for character in ("x", "é", "€", "👩"):
        for length in range(60, 160):
            card = Card("A", uid=UID, notes=character * length)
            text = vcards.write(card)
            assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
            assert next(vcards.read(text)).card == card


def test_version_3_as_phones_write_it():
    reading = read(
        "PRODID:-//Apple Inc.//iOS 17//EN",
        "N;CHARSET=UTF-8:Doe;Mary;Ann,Sue;Dr.;",
        "FN:Dr. Mary Ann Sue Doe",
        "item1.EMAIL;type=INTERNET:second@example.org",
        "EMAIL;type=INTERNET;type=pref:first@example.org",
        "TEL;type=CELL;type=VOICE:+1\u00a0(555)\u00a0010-0000\u202c",
        "BDAY;value=date:1985-04-12",
        "NOTE:Likes tea, coffee\\, and",
        "  cake\\; ends in a backslash\\",
        "PHOTO;ENCODING=b;TYPE=JPEG:" + "A" * 100_000,
        "X-ODD;;=:",
        version="3.0",
    )
    assert reading.card == Card(
        first_name="Mary Ann Sue",
        last_name="Doe",
        email="first@example.org",
        phone="+1 (555) 010-0000",
        uid=reading.card.uid,
        birthday=dt.date(1985, 4, 12),
        notes="Likes tea, coffee, and cake; ends in a backslash\\",
    )
    assert reading.notices == (
        "The card has more than one e-mail address; the preferred one was imported.",
    )


def test_preference_in_version_4():
    reading = read("FN:A", "EMAIL:z@x.org", "EMAIL;PREF=20:b@x.org", "EMAIL;PREF=1:a@x.org")
    assert reading.card.email == "a@x.org"


@pytest.mark.parametrize(
    ("line", "is_preferred"),
    [
        ("EMAIL;INTERNET;PREF:b@x.org", True),
        ("email;Type=internet,Pref:b@x.org", True),
        ('EMAIL;TYPE="internet,pref":b@x.org', True),
        ('EMAIL;X="a:b;c,d";TYPE=HOME;TYPE="PREF":b@x.org', True),
        ("EMAIL;PREF=100;X=a^nb^^^':b@x.org", True),
        ("EMAIL;X=PREF:b@x.org", False),
        ('EMAIL;X=";PREF;":b@x.org', False),
        ("EMAIL;PREF=:b@x.org", False),
    ],
)
def test_parameters(line, is_preferred):
    expected = "b@x.org" if is_preferred else "a@x.org"
    assert read("FN:A", "EMAIL:a@x.org", f"item1.{line}").card.email == expected


@pytest.mark.parametrize("params", [";", ";;X=;", ";CHARSET=UTF-8;ENCODING=8BIT", ";encoding=7bit"])
def test_parameters_that_change_nothing(params):
    assert read(f"FN{params}:Zoë").card.first_name == "Zoë"


def test_escapes():
    card = read(r"N:O\\;Mary\;Ann;Eve\, Sue,\\\,;x", r"NOTE:a\nb\Nc\,d\;e\\nf\"g\xh,i;j\\").card
    assert (card.last_name, card.first_name) == ("O\\", "Mary;Ann Eve, Sue \\,")
    assert card.notes == 'a\nb\nc,d;e\\nf"g\\xh,i;j\\'


def test_a_line_is_folded_anywhere():
    reading = read("F", " N;X=", '\t"a:', ' b":Ma', "  ry", "\tDoe")
    assert reading.card.first_name == "Ma ryDoe"


def test_no_line_of_an_encoded_value_is_a_property():
    reading = read(
        "FN:A",
        "LABEL;HOME;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:a=0D=0A=",
        "EMAIL:not@x.org=",
        "no property",
        "ADR;QUOTED-PRINTABLE:;;a=",
        "",
        "NOTE:1=",
        "TEL:2",
        version="3.0",
    )
    assert (reading.card.email, reading.card.notes, reading.card.phone) == ("", "1=", "2")


def test_uris():
    reading = read("FN:A", "TEL;VALUE=uri:tel:+1-418-655;ext=102", "EMAIL:mailto:a@x.org")
    assert (reading.card.phone, reading.card.email) == ("+1-418-655 ext 102", "a@x.org")


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["FN:Mary Doe"], ("Mary Doe", "")),
        (["FN:Doe, Mary"], ("Doe, Mary", "")),
        (["FN:ACME", "N:;;;;"], ("ACME", "")),
        (["FN:x", "N:Doe"], ("", "Doe")),
        (["FN:a@x.org", "N:;;;;", "EMAIL:a@x.org"], ("", "")),
        (["FN:a\\nb\tc"], ("a b c", "")),
    ],
)
def test_names(lines, names):
    card = read(*lines).card
    assert (card.first_name, card.last_name) == names


@pytest.mark.parametrize(
    ("line", "birthday"),
    [
        ("BDAY:19850412", dt.date(1985, 4, 12)),
        ("BDAY:1985-04-12T00:00:00Z", dt.date(1985, 4, 12)),
        ("BDAY;VALUE=date-and-or-time:19850412T1022", dt.date(1985, 4, 12)),
        ("BDAY:20000229", dt.date(2000, 2, 29)),
        ("BDAY:", None),
    ],
)
def test_birthdays(line, birthday):
    reading = read("FN:A", line)
    assert (reading.card.birthday, reading.notices) == (birthday, ())


@pytest.mark.parametrize(
    "line",
    [
        "BDAY:--0412",
        "BDAY:--04-12",
        "BDAY:1985",
        "BDAY:1985-04",
        "BDAY:20010229",
        "BDAY:00000412",
        "BDAY:19851332",
        "BDAY;VALUE=text:circa 1800",
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12",
    ],
)
def test_birthdays_that_are_no_full_date_are_left_out_and_told(line):
    reading = read("FN:A", line)
    assert reading.card.birthday is None
    assert reading.is_birthday_lost
    assert reading.notices == (vcards.NO_YEAR,)


def test_cards_without_a_uid_get_one_from_what_they_say():
    first, again = read("FN:A", "TEL:1").card, read("TEL:1", "FN:A", "ORG:x").card
    assert first.uid == again.uid
    assert first.uid.startswith("urn:uuid:")
    assert read("FN:A", "TEL:2").card.uid != first.uid
    assert read("FN:A", "UID: x,y ").card.uid == "x,y"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["TEL:1"], "The card has neither a name nor an e-mail address."),
        (["FN:A", "nonsense"], "cannot be read"),
        (["FN:A", "NOTE;=:x"], "the line of NOTE is malformed"),
        (["FN;ENCODING=QUOTED-PRINTABLE;CHARSET=hex:=41"], "encoded"),
        (["FN;QUOTED-PRINTABLE:=41"], "encoded"),
        (["FN:A", "NOTE;BASE64:eA=="], "encoded"),
    ],
)
def test_bad_cards_have_a_reason(lines, reason):
    reading = read(*lines)
    assert reading.card is None
    assert reason in reading.reason


def test_other_versions_have_a_reason():
    for version in ("2.1", "5.0", ""):
        assert "version 3.0 or 4.0" in read("FN:A", version=version).reason
    (reading,) = vcards.read("BEGIN:VCARD\nFN:A\nEND:VCARD")
    assert "version" in reading.reason


def test_a_bad_card_spoils_no_other():
    text = "noise\n" + card_of("FN:A") + "BEGIN:VCARD\nVERSION:4.0\nFN:B\n" + card_of("FN:C")
    text += "END:VCARD\nBEGIN:VCARD\nFN:D"
    readings = list(vcards.read("\ufeff" + text))
    assert [reading.index for reading in readings] == [0, 1, 2, 3]
    assert [bool(reading.card) for reading in readings] == [True, False, True, False]
    assert readings[1].reason == readings[3].reason == "The card has no END:VCARD of its own."


def test_lower_case_and_lone_returns():
    text = "begin:vcard\rversion:4.0\rfn:A\rend:vcard"
    assert next(vcards.read(text)).card.first_name == "A"


@pytest.mark.parametrize(
    "text",
    [
        card_of("FN:A", "EMAIL;a" + "," * 2**20),
        card_of("FN:A", "EMAIL" + ";a" * 2**19),
        card_of("FN:A", "NOTE:" + "\\" * 2**20),
        card_of("FN:A", "NOTE:" + "," * 2**20),
        card_of("N:" + ";" * 2**20, "FN:A"),
        card_of("FN:A", "NOTE:x", *[" x"] * 2**18),
        card_of("FN:A", *["NOTE:"] * 2**17),
        "BEGIN:VCARD\n" * 2**16,
        "\n" * 2**20,
        "x" * 2**20,
        card_of("FN:A", 'NOTE;X="' + "a" * 2**20),
        card_of("FN:A", *["BEGIN:VEVENT"] * 2**16),
        card_of("FN:A", "EMAIL" + ";" * 2**20),
        card_of("FN:A", "EMAIL;TYPE=" + "," * 2**20 + ":a"),
        card_of("FN:A", "NOTE;X=" + '"' * (2**20 + 1) + ":a"),
        card_of("N:" + "a\\;" * 2**18, "FN:A"),
        card_of("FN:A", "LABEL;QUOTED-PRINTABLE:=", *["a="] * 2**18),
    ],
    ids=range(17),
)
def test_a_megabyte_of_malice_is_read_to_its_end(text):
    """A pattern with two ways to match a comma would need a time of 2**commas for the first one."""
    for reading in vcards.read(text):
        assert (reading.card is None) == bool(reading.reason)
