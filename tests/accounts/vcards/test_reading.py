import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.vcards import lines as line_reasons
from accounts.vcards import reading as reasons
from accounts.vcards.cards import Card, Entry
from tests.accounts.vcards.reading import card_of, left_out, read, read_file

ODD_LINES = [
    *("BEGIN:VCARD", "END:VCARD", "VERSION:4.0", "VERSION:3.0", "PROFILE:VCARD", "BEGIN:X"),
    *("N:a\\", "FN;", "FN:,\\", "a.b.N:", "BDAY:", 'TEL;TYPE="', "UID:x", " x", "\t"),
    *("EMAIL;PREF=x:a", "EMAIL;PREF=:a", "TEL:tel:;ext=", "N:" + ";," * 9, "NOTE;=:", "FN:\\n"),
]


@given(st.text() | st.lists(st.sampled_from(ODD_LINES)).map("\n".join))
@settings(max_examples=300)
def test_any_text_is_read_without_an_error(text):
    for reading in read_file(text):
        assert (reading.card is None) == bool(reading.reason)
        assert not reading.reason or reading.reason.endswith(".")


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
        "X-ODD;;=:x",
        "X-EMPTY:;;;",
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
        other_emails=(Entry("", "second@example.org"),),
    )
    assert left_out(reading) == [
        ("PHOTO", "Pictures are not imported."),
        ("X-ODD", "A contact has no place for it."),
        ("N", reasons.TITLES),
    ]


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
    assert (reading.card.birthday, reading.left_out) == (birthday, ())


@pytest.mark.parametrize(
    ("line", "month_day"),
    [
        ("BDAY:--0412", 412),
        ("BDAY:--04-12", 412),
        ("BDAY;VALUE=date:--0229", 229),
        ("BDAY:00000412", 412),
        ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12", 412),
        ("BDAY;VALUE=date;X-APPLE-OMIT-YEAR=1604:16040229T000000Z", 229),
    ],
)
def test_birthdays_without_a_year(line, month_day):
    reading = read("FN:A", line)
    assert (reading.card.birthday, reading.card.month_day) == (None, month_day)
    assert reading.left_out == ()


@pytest.mark.parametrize(
    "line",
    [
        "BDAY:1985",
        "BDAY:1985-04",
        "BDAY:20010229",
        "BDAY:19851332",
        "BDAY:--0230",
        "BDAY;VALUE=text:circa 1800",
    ],
)
def test_birthdays_that_are_no_day_are_left_out(line):
    reading = read("FN:A", line)
    assert (reading.card.birthday, reading.card.month_day) == (None, None)
    assert left_out(reading) == [("BDAY", reasons.NO_DAY)]
    assert reading.unread == {"birthday"}


def test_cards_without_a_uid_get_one_from_what_they_say():
    first, again = read("FN:A", "TEL:1").card, read("TEL:1", "FN:A", "ORG:x").card
    assert first.uid == again.uid == "urn:uuid:aa2a0903-bd03-5f51-af68-8eacae7df513"
    assert read("FN:A", "TEL:2").card.uid != first.uid
    assert read("FN:A", "UID: x,y ").card.uid == "x,y"


def test_different_cards_of_a_file_without_a_uid_stay_two():
    cards = [card_of("FN:A", "ORG:x"), card_of("FN:A", "ORG:y"), card_of("FN:A", "ORG:x")]
    uids = [reading.card.uid for reading in read_file("".join(cards))]
    assert uids[0] == uids[2] != uids[1]
    assert [reading.card.uid for reading in read_file("".join(cards))] == uids


def test_a_uid_that_is_too_long_is_replaced():
    first, again = read("FN:A", "UID:" + "x" * 256), read("FN:B", "UID:" + "x" * 256)
    assert first.card.uid == again.card.uid
    assert left_out(first) == [("UID", reasons.TOO_LONG_UID)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["TEL:1"], reasons.NAMELESS),
        (["FN:", "N:;;;;", "EMAIL: "], reasons.NAMELESS),
        (["FN;CHARSET=hex:41"], "FN: It is in a character set"),
        (["FN;ENCODING=b:QQ=="], "FN: It is in an encoding"),
        (["EMAIL:mary"], "EMAIL: It is no e-mail address."),
    ],
)
def test_a_card_that_nothing_names_has_a_reason(lines, reason):
    reading = read(*lines)
    assert reading.card is None
    assert reading.reason.startswith(reasons.NAMELESS)
    assert reason in reading.reason


@pytest.mark.parametrize(
    ("lines", "first_name"),
    [
        (["ORG:ACME;Tea", "N:;;;;"], "ACME, Tea"),
        (["NICKNAME:Mim", "TEL:1"], "Mim"),
        (["FN:x@y", "EMAIL:x@"], "x@y"),
    ],
)
def test_a_company_or_a_nickname_names_a_card(lines, first_name):
    assert read(*lines).card.first_name == first_name


@pytest.mark.parametrize("version", ["2.1", "3.0", "4.0", "5.0", ""])
def test_the_version_drops_nobody(version):
    assert read("FN:A", version=version).card.first_name == "A"
    (reading,) = read_file("BEGIN:VCARD\nFN:A\nEND:VCARD")
    assert reading.card.first_name == "A"


def test_a_bad_card_spoils_no_other():
    text = "noise\n" + card_of("FN:A") + "BEGIN:VCARD\nVERSION:4.0\nFN:B\n" + card_of("FN:C")
    text += "END:VCARD\nBEGIN:VCARD\nFN:D"
    readings = list(read_file("\ufeff" + text))
    assert [reading.index for reading in readings] == [0, 1, 2, 3]
    assert [bool(reading.card) for reading in readings] == [True, False, True, False]
    assert readings[1].reason == readings[3].reason == "The card has no END:VCARD of its own."


def test_lower_case_and_lone_returns():
    text = "begin:vcard\rversion:4.0\rfn:A\rend:vcard"
    assert read_file(text)[0].card.first_name == "A"


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        (["nonsense"], "", "A line of the card is not a property."),
        (["NOTE;=:x"], "NOTE", "It is malformed."),
        (["NOTE;BASE64:eA=="], "NOTE", "It is in an encoding that is not known here."),
        (["TEL:()"], "TEL", reasons.NO_PHONE),
        (["TEL:" + "1" * 51], "TEL", reasons.NO_PHONE),
        (["EMAIL:mary"], "EMAIL", reasons.NO_EMAIL),
        (["EMAIL:mary <m@>"], "EMAIL", reasons.NO_EMAIL),
        (["URL:" + "x" * 1001], "URL", reasons.TOO_LONG_URL),
        (["URL:a", "URL:b"], "URL", reasons.ONLY_ONE),
        (["ORG:a", "ORG:b"], "ORG", reasons.ONLY_ONE),
        (["TITLE:a", "ROLE:b"], "ROLE", reasons.ONLY_ONE),
        (["NOTE:" + "x" * 10_001], "NOTE", reasons.CUT.format(10_000)),
        (["ORG:" + "x" * 201], "ORG", reasons.CUT.format(200)),
        (["ADR:;;" + "x" * 501], "ADR", reasons.CUT.format(500)),
        (["EMAIL:a@x.org"] * 22, "EMAIL", reasons.TOO_MANY_ENTRIES),
        (["ADR:;;a"] * 21, "ADR", "A contact has at most 20."),
        (["X-" + "A" * 60 + ":1"], "X-" + "A" * 48, "A contact has no place for it."),
        (["NICKNAME:Mim"], "NICKNAME", "A contact has no place for it."),
        (["item1.X-SOCIALPROFILE;type=x:y"], "X-SOCIALPROFILE", "A contact has no place for it."),
    ],
)
def test_what_a_contact_cannot_hold_is_named_and_the_person_is_there(lines, name, reason):
    reading = read("N:Doe;Mary", *lines)
    assert (reading.card.first_name, reading.card.last_name) == ("Mary", "Doe")
    assert left_out(reading) == [(name, reason)]
    assert reason.endswith(".")


def test_bytes_that_are_no_text_are_named():
    body = card_of("FN:A", "NOTE:?", "ORG;CHARSET=ISO-8859-1:?").encode().replace(b"?", b"\xe9")
    (reading,) = read_file(body)
    assert (reading.card.notes, reading.card.company) == ("", "é")
    assert left_out(reading) == [
        ("NOTE", "Its bytes are no text in UTF-8, or in the character set that it names.")
    ]


@pytest.mark.parametrize(
    ("value", "first_name", "reason"),
    [
        (b";ENCODING=QUOTED-PRINTABLE:M=FCller", "Müller", line_reasons.GUESSED),
        (b":M\xfcller", "Müller", line_reasons.GUESSED),
        (b":M\x81ller", "x", line_reasons.NO_TEXT),
        (b";CHARSET=UTF-8:M\xfcller", "x", line_reasons.NO_TEXT),
        (b";CHARSET=UTF-7:M", "x", line_reasons.NO_CHARSET),
    ],
)
def test_version_2_1_without_a_character_set(value, first_name, reason):
    body = card_of("NICKNAME:x", "FN?", version="2.1").encode().replace(b"?", value)
    (reading,) = read_file(body)
    assert reading.card.first_name == first_name
    assert ("FN", reason) in left_out(reading)


def test_a_character_that_a_fold_parts():
    body = card_of("FN:Zoë").encode().replace(b"\xc3\xab", b"\xc3\r\n \xab")
    assert read_file(body)[0].card.first_name == "Zoë"


@pytest.mark.parametrize(
    ("line", "phone"),
    [
        ("TEL:+1\u2011555\u2013010", "+1-555-010"),
        ("TEL:1-800-FLOWERS", "1-800-FLOWERS"),
        ("TEL:+1 555 0100;ext=5", "+1 555 0100 ext 5"),
        ("TEL:+1 555 0100\\;ext=5", "+1 555 0100 ext 5"),
        ("TEL;VALUE=uri:TEL:+1-555;phone-context=x;EXT=5", "+1-555 ext 5"),
    ],
)
def test_phone_numbers(line, phone):
    reading = read("FN:A", line)
    assert (reading.card.phone, reading.left_out) == (phone, ())


@pytest.mark.parametrize(
    "text",
    ["Mary <m@x.org>", "<m@x.org>", '"Doe, Mary" <m@x.org>', "mailto:m@x.org", "MAILTO:m@x.org"],
)
def test_an_address_with_a_name(text):
    reading = read("FN:A", f"EMAIL:{text}")
    assert (reading.card.email, reading.left_out) == ("m@x.org", ())


def test_labels():
    reading = read(
        "FN:A",
        "TEL:1",
        "TEL;TYPE=HOME,VOICE:2",
        "TEL;type=WORK;type=FAX:3",
        "item1.TEL;type=pref:4",
        "item1.X-ABLabel:_$!<Other>!$_",
        "item2.ADR;type=HOME:;;5 Main St.\\nBack;Berlin;;10115;Germany",
        "item2.X-ABLabel:Büro",
        "item2.X-ABADR:de",
        version="3.0",
    )
    assert reading.card.phone == "4"
    assert reading.card.other_phones == (("", "1"), ("home", "2"), ("work fax", "3"))
    assert reading.card.addresses == (("Büro", "5 Main St.\nBack\nBerlin 10115\nGermany"),)
    assert reading.left_out == ()


def test_many_things_left_out_are_counted():
    reading = read("FN:A", *(f"X-{number}:1" for number in range(30)))
    assert len(reading.left_out) == 20
    assert left_out(reading)[-1] == ("", "11 more were left out.")
