import datetime as dt
import secrets

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.actions import contacts as actions
from accounts.actions.credentials import AccountGone
from accounts.models import Contact, User
from tests.accounts.address_books import (
    CARD,
    CONTACTS,
    WHOLE,
    counts,
    create,
    exported,
    send,
)
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


class TestImport:
    def test_a_file_becomes_contacts_and_once_more_changes_nothing(self, as_alice, alice):
        response = send(as_alice, CARD)
        assert response.json() == {
            "created": 1, "updated": 0, "unchanged": 0, "skipped": [], "notices": [],
        }  # fmt: skip
        (made,) = as_alice.get(CONTACTS).json()["results"]
        assert (made["first_name"], made["last_name"]) == ("Mary", "Doe")
        assert (made["birthday"], made["notes"]) == ("1985-04-12", "Tea")
        contact = Contact.objects.get()
        assert (contact.owner, contact.birthday_key) == (alice, 412)
        assert contact.search_text == "mary\ndoe\nmary@example.org"
        assert counts(send(as_alice, CARD)) == (0, 0, 1, 0)
        assert as_alice.get(CONTACTS).json()["results"] == [made]

    def test_a_uid_that_the_owner_has_is_updated(self, as_alice):
        send(as_alice, CARD)
        (made,) = as_alice.get(CONTACTS).json()["results"]
        changed = CARD.replace("BDAY:19850412", "BDAY:20000229").replace("Tea", "Coffee")
        assert counts(send(as_alice, changed)) == (0, 1, 0, 0)
        (after,) = as_alice.get(CONTACTS).json()["results"]
        expected = {"birthday": "2000-02-29", "notes": "Coffee", "updated_at": after["updated_at"]}
        assert after == {**made, **expected}
        assert after["updated_at"] > made["updated_at"]
        assert Contact.objects.get().birthday_key == 229

    def test_a_uid_of_somebody_else_is_not_touched(self, as_alice, as_carol):
        send(as_alice, CARD)
        before = as_alice.get(CONTACTS).content
        assert counts(send(as_carol, CARD.replace("Mary", "Eve"))) == (1, 0, 0, 0)
        assert as_alice.get(CONTACTS).content == before

    def test_cards_without_a_uid_are_not_doubled(self, as_alice):
        cards = CARD.replace("UID:", "X-UID:")
        cards += cards.replace("Tea", "Coffee")
        assert counts(send(as_alice, cards)) == (2, 0, 0, 0)
        assert counts(send(as_alice, cards)) == (0, 0, 2, 0)

    def test_of_two_cards_with_one_uid_the_later_wins(self, as_alice):
        twice = CARD + CARD.replace("Tea", "Coffee")
        assert counts(send(as_alice, twice)) == (1, 1, 0, 0)
        assert Contact.objects.get().notes == "Coffee"
        assert counts(send(as_alice, twice)) == (0, 2, 0, 0)
        assert counts(send(as_alice, CARD + CARD)) == (0, 1, 1, 0)

    def test_a_birthday_without_a_year_takes_no_year_away(self, as_alice):
        partial = CARD.replace("19850412", "--0412")
        assert send(as_alice, partial).json()["notices"] == []
        assert as_alice.get(CONTACTS).json()["results"][0]["birthday"] == "--04-12"
        assert counts(send(as_alice, partial)) == (0, 0, 1, 0)
        assert counts(send(as_alice, CARD)) == (0, 1, 0, 0)
        assert counts(send(as_alice, partial)) == (0, 0, 1, 0)
        assert Contact.objects.get().birthday == dt.date(1985, 4, 12)
        assert counts(send(as_alice, partial.replace("0412", "0413"))) == (0, 1, 0, 0)
        assert as_alice.get(CONTACTS).json()["results"][0]["birthday"] == "--04-13"
        assert counts(send(as_alice, CARD.replace("BDAY:19850412\n", ""))) == (0, 1, 0, 0)
        assert as_alice.get(CONTACTS).json()["results"][0]["birthday"] is None

    @pytest.mark.parametrize(
        ("old", "new", "field", "name"),
        [
            ("EMAIL:mary@example.org", "EMAIL:mary", "email", "EMAIL"),
            ("BDAY:19850412", "BDAY:spring", "birthday", "BDAY"),
            ("NOTE:Tea", "NOTE;ENCODING=b:VGVh", "notes", "NOTE"),
        ],
    )
    def test_what_was_left_out_takes_nothing_away(self, as_alice, old, new, field, name):
        send(as_alice, CARD)
        (made,) = as_alice.get(CONTACTS).json()["results"]
        response = send(as_alice, CARD.replace(old, new))
        assert counts(response) == (0, 0, 1, 0)
        (notice,) = response.json()["notices"]
        assert [each["property"] for each in notice["left_out"]] == [name]
        assert as_alice.get(CONTACTS).json()["results"] == [made]
        assert made[field]
        assert counts(send(as_alice, CARD.replace(f"{old}\n", ""))) == (0, 1, 0, 0)

    def test_what_is_left_out_is_named_for_each_person(self, as_alice):
        odd = CARD.replace("NOTE:Tea", "PHOTO:x\nEMAIL:mary\nX-A:1")
        response = send(as_alice, CARD.replace("eff6b1", "000000") + odd)
        assert counts(response) == (2, 0, 0, 0)
        assert response.json()["notices"] == [
            {
                "card": 1,
                "name": "Mary Doe",
                "notice": "Not imported, or not whole: PHOTO, X-A, EMAIL.",
                "left_out": [
                    {"property": "PHOTO", "reason": "Pictures are not imported."},
                    {"property": "X-A", "reason": "A contact has no place for it."},
                    {"property": "EMAIL", "reason": "It is no e-mail address."},
                ],
            }
        ]

    @pytest.mark.parametrize(
        ("line", "field", "value"),
        [
            ("TEL:+1\u2011555\u2011010", "phone", "+1-555-010"),
            ("TEL:1-800-FLOWERS", "phone", "1-800-FLOWERS"),
            ("TEL:+1 555 010;ext=5", "phone", "+1 555 010 ext 5"),
            ("TEL:none", "phone", "none"),
            ("X-A:1\nEMAIL;PREF=1:Mary <m@x.org>", "email", "m@x.org"),
            ("ORG;ENCODING=QUOTED-PRINTABLE:S=C3=B6hne", "company", "Söhne"),
            ("LABEL;ENCODING=QUOTED-PRINTABLE:a=\nb", "first_name", "Mary"),
            ("TITLE:Boss", "job_title", "Boss"),
            ("URL:x.org", "url", "x.org"),
            ("ADR;TYPE=work:;;1 Main;;;;", "addresses", [{"label": "work", "value": "1 Main"}]),
            ("EMAIL:b@x.org", "other_emails", [{"label": "", "value": "b@x.org"}]),
            ("FN:" + "x" * 101, "first_name", "Mary"),
            ("NOTE:" + "x" * 10_001, "phone", ""),
            ("VERSION:2.1", "last_name", "Doe"),
            ("EMAIL;a" + "," * 1000, "email", "mary@example.org"),
            ("nonsense", "email", "mary@example.org"),
        ],
    )
    def test_an_odd_field_drops_nobody(self, as_alice, line, field, value):
        card = CARD.replace("NOTE:Tea", line)
        assert counts(send(as_alice, card)) == (1, 0, 0, 0)
        assert as_alice.get(CONTACTS).json()["results"][0][field] == value
        assert counts(send(as_alice, card)) == (0, 0, 1, 0)
        text = exported(as_alice)
        assert counts(send(as_alice, text)) == (0, 0, 1, 0)

    def test_cards_that_nothing_names_are_skipped_with_the_reason(self, as_alice):
        bad = [
            CARD.replace("END:VCARD\n", ""),
            "BEGIN:VCARD\nVERSION:4.0\nTEL:1\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN;CHARSET=hex:41\nEND:VCARD\n",
            "BEGIN:VCARD\nEND:VCARD\n",
        ]
        response = send(as_alice, "".join([*bad, CARD]))
        assert counts(response) == (1, 0, 0, len(bad))
        skipped = response.json()["skipped"]
        assert [each["card"] for each in skipped] == list(range(len(bad)))
        assert all(each["reason"].endswith(".") for each in skipped)
        assert Contact.objects.get().first_name == "Mary"

    def test_nothing_that_cannot_be_stored_comes_in(self, as_alice):
        odd = ["NOTE:a\0b", "ORG:a\0b", "TITLE;ENCODING=QUOTED-PRINTABLE:a=00b"]
        card = CARD.replace("NOTE:Tea", "\n".join(odd)).encode()
        card += CARD.encode().replace(b"eff6b1", b"000000").replace(b"Tea", b"\xed\xa0\x80")
        assert counts(send(as_alice, card)) == (2, 0, 0, 0)
        first, second = Contact.objects.order_by("-uid")
        assert (first.notes, first.company, first.job_title) == ("ab", "a b", "a b")
        assert second.notes == ""

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "no_cards"),
            (b"hello", 400, "no_cards"),
            (CARD.encode("utf-16"), 400, "no_cards"),
            (b"\0\xff", 400, "no_cards"),
            (b"BEGIN:VCARD\nEND:VCARD\n" * 2001, 400, "too_many_cards"),
            (CARD.encode() + b"x" * 20 * 2**20, 413, "body_too_large"),
        ],
    )
    def test_bad_bodies_are_problems_and_nothing_is_stored(self, as_alice, body, status, code):
        response = send(as_alice, body)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["Content-Type"] == "application/problem+json"
        assert not Contact.objects.exists()

    def test_other_types_are_415(self, as_alice):
        for content_type in ("application/json", "text/plain", ""):
            assert send(as_alice, CARD, content_type).status_code == 415

    def test_the_other_type_of_vcards(self, as_alice):
        assert counts(send(as_alice, CARD, "text/x-vcard; charset=utf-8")) == (1, 0, 0, 0)

    def test_a_form(self, as_alice):
        def post(**form):
            return as_alice.post(f"{CONTACTS}/import", form, format="multipart")

        file = SimpleUploadedFile("c.vcf", CARD.encode(), content_type="text/vcard")
        assert counts(post(file=file)) == (1, 0, 0, 0)
        for form, errors in (
            ({}, {"file": "required"}),
            ({"file": "text"}, {"file": "invalid"}),
            ({"vcf": file}, {"vcf": "unknown_field", "file": "required"}),
            ({"file": [file, file]}, {"file": "repeated"}),
        ):
            response = post(**form)
            assert response.status_code == 400, form
            found = {error["field"]: error["code"] for error in response.json()["errors"]}
            assert found.items() <= errors.items()
            assert found
        assert post(file=SimpleUploadedFile("c", b"")).json()["code"] == "no_cards"
        for size in (20 * 2**20 + 1, 21 * 2**20):
            response = post(file=SimpleUploadedFile("c.vcf", b"x" * size))
            assert (response.status_code, response.json()["code"]) == (413, "body_too_large")

    def test_a_picture_of_twenty_mebibytes(self, as_alice):
        photo = "PHOTO:" + "A" * (20 * 2**20 - len(CARD) - 100)
        card = CARD.replace("NOTE:Tea", photo).encode()
        file = SimpleUploadedFile("c.vcf", card)
        responses = [
            send(as_alice, card, HTTP_IDEMPOTENCY_KEY="one"),
            send(as_alice, card, HTTP_IDEMPOTENCY_KEY="one"),
            as_alice.post(f"{CONTACTS}/import", {"file": file}, format="multipart"),
        ]
        assert [counts(each) for each in responses] == [(1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0)]
        assert responses[1].headers["Idempotent-Replayed"] == "true"
        (notice,) = responses[2].json()["notices"]
        assert [each["property"] for each in notice["left_out"]] == ["PHOTO"]

    def test_two_thousand_cards_at_once(self, as_alice):
        cards = [CARD.replace("eff6b1", f"{n:06}").replace("Tea", str(n)) for n in range(2000)]
        assert counts(send(as_alice, "".join(cards))) == (2000, 0, 0, 0)
        cards = [card.replace("Mary", "Anna") for card in cards]
        assert counts(send(as_alice, "".join(cards))) == (0, 2000, 0, 0)
        assert Contact.objects.filter(search_text__startswith="anna").count() == 2000

    def test_an_account_that_has_just_gone(self, alice):
        stale = User.objects.get(pk=alice.pk)
        alice.delete()
        with pytest.raises(AccountGone):
            actions.import_contacts(owner=stale, body=CARD.encode(), now=timezone.now())


class TestExport:
    def test_the_file(self, as_alice, as_carol):
        create(as_carol, first_name="not alice's")
        send(as_alice, CARD)
        response = as_alice.get(f"{CONTACTS}/export")
        assert response.headers["Content-Type"] == "text/vcard; charset=utf-8"
        assert response.headers["Content-Disposition"] == 'attachment; filename="contacts.vcf"'
        lines = b"".join(response.streaming_content).decode().split("\r\n")
        assert sorted(line for line in lines if line) == sorted(CARD.splitlines())

    def test_nothing_is_an_empty_file(self, as_alice):
        assert exported(as_alice) == ""

    def test_what_is_exported_is_imported_as_it_was(self, as_alice, as_carol):
        create(as_alice, **WHOLE)
        create(as_alice, email="only@example.org")
        create(as_alice, last_name="a;b,c\\", notes="x" * 10_000, birthday="--02-29")
        others = {name: WHOLE[name] for name in ("other_emails", "other_phones", "addresses")}
        create(as_alice, first_name="without the first", **others)
        text = exported(as_alice)
        assert counts(send(as_alice, text)) == (0, 0, 4, 0)
        assert counts(send(as_carol, text)) == (4, 0, 0, 0)
        assert exported(as_carol) == text

    def test_it_comes_in_batches_and_whole(self, as_alice, django_assert_num_queries):
        cards = [CARD.replace("eff6b1", f"{n:06}") for n in range(250)]
        send(as_alice, "".join(cards))
        response = as_alice.get(f"{CONTACTS}/export")
        with django_assert_num_queries(3):  # 100, 100, 50 contacts
            chunks = list(response.streaming_content)
        assert len(chunks) == 3
        assert b"".join(chunks).count(b"BEGIN:VCARD") == 250

    def test_a_server_takes_large_files_and_streams_from_changing_threads(self, server):
        account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
        tokens = requests.post(f"{server.api}/auth/register", json=account, timeout=60).json()
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        cards = "".join(CARD.replace("eff6b1", f"{n:06}") for n in range(450))
        url = f"{server.api}/contacts"
        sent = requests.post(
            f"{url}/import", cards, headers={**header, "Content-Type": "text/vcard"}, timeout=60
        )
        assert sent.json()["created"] == 450
        card = CARD.replace("eff6b1", "000000").replace("NOTE:Tea", "PHOTO:" + "A" * 19 * 2**20)
        types = ({"data": card.encode()}, {"files": {"file": ("c.vcf", card.encode())}})
        for body in types:  # above what is collected before a thread takes it
            kind = {"Content-Type": "text/x-vcard"} if "data" in body else {}
            sent = requests.post(f"{url}/import", **body, headers={**header, **kind}, timeout=60)
            assert sent.status_code == 200, sent.json()
            assert sent.json()["updated"] + sent.json()["unchanged"] == 1
        for _ in range(3):
            response = requests.get(f"{url}/export", headers=header, timeout=60)
            assert response.content.count(b"END:VCARD\r\n") == 450
