"""Cards as address books write them."""

import datetime as dt

from accounts.vcards.cards import Card, Entry
from tests.accounts.vcards.reading import card_of, left_out, read, read_file


def test_an_iphone():
    reading = read(
        "PRODID:-//Apple Inc.//iPhone OS 17.5//EN",
        "N:Doe;Mary;Ann;Dr.;",
        "FN:Dr. Mary Ann Doe",
        "NICKNAME:Mim",
        "ORG:ACME\\, Inc.;Research;",
        "TITLE:Engineer",
        "item1.EMAIL;type=INTERNET;type=pref:mary@example.org",
        "item1.X-ABLabel:iCloud",
        "EMAIL;type=INTERNET;type=WORK:Mary Doe <mary@acme.example>",
        "TEL;type=CELL;type=VOICE;type=pref:+1\u00a0(555)\u00a0010\u20110000",
        "TEL;type=WORK;type=VOICE:1-800-FLOWERS",
        "item2.ADR;type=HOME;type=pref:;;1 Main St.\\nApt 5;Springfield;IL;62701;United States",
        "item2.X-ABADR:us",
        "item3.URL;type=pref:https\\://example.org",
        "item3.X-ABLabel:_$!<HomePage>!$_",
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12",
        "PHOTO;ENCODING=b;TYPE=JPEG;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&10&10&x==:/9j/4AAQSkZJ",
        " AAAAAAAA==",
        "X-SOCIALPROFILE;type=twitter:https://twitter.example/mary",
        "REV:2024-05-01T10:00:00Z",
        version="3.0",
    )
    assert reading.card == Card(
        first_name="Mary Ann",
        last_name="Doe",
        email="mary@example.org",
        other_emails=(Entry("work", "mary@acme.example"),),
        phone="+1 (555) 010-0000",
        other_phones=(Entry("work", "1-800-FLOWERS"),),
        addresses=(Entry("home", "1 Main St.\nApt 5\nSpringfield IL 62701\nUnited States"),),
        uid=reading.card.uid,
        month_day=412,
        company="ACME, Inc., Research",
        job_title="Engineer",
        url="https://example.org",
    )
    assert {name for name, _ in left_out(reading)} == {
        "N", "NICKNAME", "PHOTO", "X-SOCIALPROFILE",
    }  # fmt: skip


def test_android_in_version_2_1():
    reading = read(
        "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C5=81=C3=B3=C5=9B;Jos=C3=A9;;;",
        "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=4A=6F=73=C3=A9=20=C5=81=C3=B3=C5=9B",
        "TEL;CELL;PREF:+49-30-1",
        "TEL;X-CUSTOM(CHARSET=UTF-8,ENCODING=QUOTED-PRINTABLE,=42=C3=BC=72=6F):+49-30-2",
        "TEL;HOME;FAX:+49-30-3",
        "EMAIL;HOME:jose@example.org",
        "ADR;HOME;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;;=48=61=75=70=74=73=74=72=2E=20=35=0A=",
        "=48=69=6E=74=65=6E;;;;",
        "ORG;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=53=C3=B6=68=6E=65",
        "NOTE;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=65=69=6E=73=0D=0A=",
        " =7A=77=65=69",
        "BDAY:--04-12",
        "PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD",
        " AAAA=",
        "",
        "X-ANDROID-CUSTOM:vnd.android.cursor.item/nickname;x;1;;;;;;;;;;;;;",
        version="2.1",
    )
    card = reading.card
    assert (card.first_name, card.last_name, card.company) == ("José", "Łóś", "Söhne")
    assert (card.phone, card.email, card.month_day) == ("+49-30-1", "jose@example.org", 412)
    assert card.other_phones == (Entry("x-custom", "+49-30-2"), Entry("home fax", "+49-30-3"))
    assert card.addresses == (Entry("home", "Hauptstr. 5\nHinten"),)
    assert card.notes == "eins\n zwei"
    assert {name for name, _ in left_out(reading)} == {"PHOTO", "X-ANDROID-CUSTOM"}


def test_outlook_in_version_2_1():
    text = card_of(
        "N;LANGUAGE=de;CHARSET=Windows-1252:Müller;Jürgen;;Dr.",
        "FN;CHARSET=Windows-1252:Dr. Jürgen Müller",
        "ORG;CHARSET=Windows-1252:Söhne, GmbH;Vertrieb",
        "TITLE:Sales",
        "TEL;WORK;VOICE:+49 (30) 1",
        "TEL;CELL;VOICE:+49 (170) 2",
        "ADR;WORK;PREF;CHARSET=Windows-1252:;;Königstr. 1;Berlin;;10115;Germany",
        "LABEL;WORK;PREF;ENCODING=QUOTED-PRINTABLE:K=F6nigstr. 1=0D=0A=",
        "10115 Berlin",
        "X-MS-OL-DEFAULT-POSTAL-ADDRESS:2",
        "URL;WORK:http://www.example.org",
        "EMAIL;PREF;INTERNET:jm@example.org",
        "AGENT:",
        "BEGIN:VCARD",
        "VERSION:2.1",
        "N:Secretary;The",
        "TEL:3",
        "END:VCARD",
        "BDAY:19700102",
        version="2.1",
    )
    (reading,) = read_file(text.encode("windows-1252"))
    assert reading.card == Card(
        first_name="Jürgen",
        last_name="Müller",
        email="jm@example.org",
        phone="+49 (30) 1",
        other_phones=(Entry("cell", "+49 (170) 2"),),
        addresses=(Entry("work", "Königstr. 1\nBerlin 10115\nGermany"),),
        uid=reading.card.uid,
        birthday=dt.date(1970, 1, 2),
        company="Söhne, GmbH, Vertrieb",
        job_title="Sales",
        url="http://www.example.org",
    )
    assert {name for name, _ in left_out(reading)} == {
        "AGENT", "LABEL", "N", "X-MS-OL-DEFAULT-POSTAL-ADDRESS",
    }  # fmt: skip


def test_google_in_version_3():
    reading = read(
        "FN:Mary Doe",
        "N:Doe;Mary;;;",
        "EMAIL;TYPE=INTERNET;TYPE=HOME:mary@example.org",
        "item1.EMAIL;TYPE=INTERNET:m2@example.org",
        "item1.X-ABLabel:Obsolete",
        "TEL;TYPE=CELL:+1 555-0100",
        "item2.ORG:ACME",
        "item2.X-ABLabel:",
        "item3.URL:http\\://www.google.com/profiles/1",
        "item3.X-ABLabel:PROFILE",
        "BDAY;VALUE=text:spring",
        "CATEGORIES:myContacts,starred",
        "PHOTO:https://lh3.example.org/contacts/x",
        version="3.0",
    )
    card = reading.card
    assert (card.first_name, card.last_name, card.company) == ("Mary", "Doe", "ACME")
    assert card.other_emails == (Entry("Obsolete", "m2@example.org"),)
    assert card.url == "http://www.google.com/profiles/1"
    assert {name for name, _ in left_out(reading)} == {"BDAY", "CATEGORIES", "PHOTO"}
