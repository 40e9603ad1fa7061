import datetime as dt
import secrets

import pytest
import requests
from django.utils import timezone

from accounts import vcards
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

    def test_a_birthday_without_a_year_is_told_and_takes_no_year_away(self, as_alice):
        partial = CARD.replace("19850412", "--0412")
        response = send(as_alice, partial)
        assert response.json()["notices"] == [{"card": 0, "notice": vcards.NO_YEAR}]
        assert Contact.objects.get().birthday is None
        send(as_alice, CARD)
        assert counts(send(as_alice, partial)) == (0, 0, 1, 0)
        assert Contact.objects.get().birthday == dt.date(1985, 4, 12)

    def test_bad_cards_are_skipped_with_the_reason_and_the_others_kept(self, as_alice):
        bad = [
            CARD.replace("END:VCARD\n", ""),
            CARD.replace("4.0", "2.1"),
            CARD.replace("Mary", "x" * 101),
            CARD.replace("mary@", "@"),
            CARD.replace("NOTE:Tea", "NOTE:" + "x" * 10_001),
            CARD.replace("UID:", "UID:" + "x" * 255),
            CARD.replace("NOTE:Tea", "EMAIL;a" + "," * 1000),
            "BEGIN:VCARD\nVERSION:4.0\nTEL:1\nEND:VCARD\n",
        ]
        response = send(as_alice, "".join([*bad, CARD]))
        assert counts(response) == (1, 0, 0, len(bad))
        skipped = response.json()["skipped"]
        assert [each["card"] for each in skipped] == list(range(len(bad)))
        assert all(each["reason"].endswith(".") for each in skipped)
        assert Contact.objects.get().first_name == "Mary"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "no_cards"),
            (b"hello", 400, "no_cards"),
            (CARD.encode() + b"\xff", 400, "parse_error"),
            (CARD.encode("utf-16"), 400, "parse_error"),
            (CARD.encode() + b"\0", 400, "parse_error"),
            (b"\xed\xa0\x80" + CARD.encode(), 400, "parse_error"),
            (b"BEGIN:VCARD\nEND:VCARD\n" * 2001, 400, "too_many_cards"),
            (CARD.encode() + b"x" * 2**20, 413, "body_too_large"),
        ],
    )
    def test_bad_bodies_are_problems_and_nothing_is_stored(self, as_alice, body, status, code):
        response = send(as_alice, body)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["Content-Type"] == "application/problem+json"
        assert not Contact.objects.exists()

    def test_other_types_are_415(self, as_alice):
        for content_type in ("application/json", "text/plain", "text/x-vcard", ""):
            response = as_alice.generic(
                "POST", f"{CONTACTS}/import", CARD, content_type=content_type
            )
            assert response.status_code == 415

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
            actions.import_contacts(owner=stale, text=CARD, now=timezone.now())


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
        create(as_alice, last_name="a;b,c\\", notes="x" * 10_000)
        text = exported(as_alice)
        assert counts(send(as_alice, text)) == (0, 0, 3, 0)
        assert counts(send(as_carol, text)) == (3, 0, 0, 0)
        assert exported(as_carol) == text

    def test_it_comes_in_batches_and_whole(self, as_alice, django_assert_num_queries):
        cards = [CARD.replace("eff6b1", f"{n:06}") for n in range(250)]
        send(as_alice, "".join(cards))
        response = as_alice.get(f"{CONTACTS}/export")
        with django_assert_num_queries(3):  # 100, 100, 50 contacts
            chunks = list(response.streaming_content)
        assert len(chunks) == 3
        assert b"".join(chunks).count(b"BEGIN:VCARD") == 250

    def test_a_server_streams_it_from_changing_threads(self, server):
        account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
        tokens = requests.post(f"{server.api}/auth/register", json=account, timeout=60).json()
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        cards = "".join(CARD.replace("eff6b1", f"{n:06}") for n in range(450))
        url = f"{server.api}/contacts"
        sent = requests.post(
            f"{url}/import", cards, headers={**header, "Content-Type": "text/vcard"}, timeout=60
        )
        assert sent.json()["created"] == 450
        for _ in range(3):
            response = requests.get(f"{url}/export", headers=header, timeout=60)
            assert response.content.count(b"END:VCARD\r\n") == 450
