import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import address_book
from accounts.vcards.cards import Card, Entry, Reading, carried
from accounts.vcards.writing import write
from tests.accounts.vcards.reading import read_file

UID = "urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1"
# One line without control characters, trimmed; texts without what no vCard can carry.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
LINES = st.text(CHARACTERS, max_size=60).map(str.strip)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(carried)
SYNTAX = st.text(st.sampled_from('\\;,:"\nN nabé👩‍👩‍👧=^\t'), max_size=200)
ONE_LINE = LINES | SYNTAX.map(address_book.clean_line).map(lambda text: text[:60].strip())
EMAILS = st.sampled_from(["a@example.org", '"a,b;c"@example.org', "é@example.org"])
PHONES = st.sampled_from(["+1 (555) 01-02/03 ext. 7", "#*31#", "1-800-FLOWERS", "٥٥٥"])
LABELS = st.sampled_from(
    ["", "work", "Work", "home fax", "pref", "voice", "base64", "_$!<Home>!$_"]
) | ONE_LINE.map(lambda text: text[:50].strip())


def entries(values):
    return st.lists(st.builds(Entry, LABELS, values), max_size=3).map(tuple)


CARDS = st.builds(
    Card,
    first_name=ONE_LINE,
    last_name=LINES,
    email=st.just("") | EMAILS,
    phone=st.just("") | PHONES,
    uid=LINES.filter(bool),
    birthday=st.none() | st.dates(),
    notes=TEXTS | SYNTAX,
    month_day=st.sampled_from([None, 101, 229, 1231]),
    company=ONE_LINE,
    job_title=ONE_LINE,
    url=ONE_LINE | st.just("https://example.org/?a=1,2;3#\\,"),
    other_emails=entries(EMAILS),
    other_phones=entries(PHONES),
    addresses=entries((TEXTS | SYNTAX).map(address_book.clean_lines).filter(bool)),
).filter(
    lambda card: (
        (card.first_name or card.last_name or card.email) and not (card.birthday and card.month_day)
    )
)


@given(CARDS)
@settings(max_examples=300)
def test_what_is_written_is_read_back(card):
    text = write(card)
    assert read_file(text) == [Reading(0, card)]
    lines = text.split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    assert len(text.splitlines()) == len(lines) - 1


def test_a_whole_card():
    card = Card(
        first_name="Zoë; Maria",
        last_name="O\\Neil, Jr.",
        email="zoe@example.org",
        phone="+49 30 1",
        uid=UID,
        birthday=dt.date(1985, 4, 12),
        notes="one\ntwo; three",
        company="ACME, Inc.",
        job_title="Boss; Tea",
        url="https://example.org/?a=1,2",
        other_emails=(Entry("work", "z@example.org"), Entry("", "y@example.org")),
        other_phones=(Entry("Büro", "1-800-FLOWERS"),),
        addresses=(Entry("home", "5, Main St.\nBerlin"),),
    )
    assert write(card) == (
        "BEGIN:VCARD\r\n"
        "VERSION:4.0\r\n"
        f"UID:{UID}\r\n"
        "BDAY:19850412\r\n"
        "FN:Zoë\\; Maria O\\\\Neil\\, Jr.\r\n"
        "N:O\\\\Neil\\, Jr.;Zoë\\; Maria;;;\r\n"
        "NOTE:one\\ntwo\\; three\r\n"
        "ORG:ACME\\, Inc.\r\n"
        "TITLE:Boss\\; Tea\r\n"
        "URL;VALUE=uri:https://example.org/?a=1,2\r\n"
        "ADR;TYPE=home:;;5\\, Main St.\\nBerlin;;;;\r\n"
        "EMAIL;PREF=1:zoe@example.org\r\n"
        "EMAIL;TYPE=work:z@example.org\r\n"
        "EMAIL:y@example.org\r\n"
        "TEL;PREF=1:+49 30 1\r\n"
        "item6.TEL:1-800-FLOWERS\r\n"
        "item6.X-ABLabel:Büro\r\n"
        "END:VCARD\r\n"
    )


def test_a_birthday_without_a_year():
    assert "\r\nBDAY:--0229\r\n" in write(Card("A", uid=UID, month_day=229))


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_no_field_can_make_a_second_property(end):
    evil = f"a{end}TEL:666{end}END:VCARD"
    texts = dict.fromkeys(("first_name", "last_name", "email", "phone", "uid", "notes"), evil)
    texts |= dict.fromkeys(("company", "job_title", "url"), evil)
    entries = dict.fromkeys(("other_emails", "other_phones", "addresses"), (Entry(evil, evil),))
    text = write(Card(**texts, **entries))
    assert not [line for line in text.splitlines() if line.startswith("TEL:666")]
    assert text.splitlines().count("END:VCARD") == 1
    assert len(read_file(text)) == 1


def test_long_lines_are_folded_by_bytes():
    for character in ("x", "é", "€", "👩"):
        for length in range(60, 160):
            card = Card("A", uid=UID, notes=character * length)
            text = write(card)
            assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
            assert read_file(text)[0].card == card
