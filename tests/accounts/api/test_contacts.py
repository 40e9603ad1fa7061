import datetime as dt
import secrets
import threading

import pytest
import requests
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts import vcards
from accounts.actions import contacts as actions
from accounts.actions.credentials import AccountGone
from accounts.models import Contact, User
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
CONTACTS = "/api/v1/contacts"
WHOLE = {
    "first_name": "Zoë",
    "last_name": "O'Neil",
    "email": "Zoe@Example.org",
    "phone": "+1 (555) 010-00/1 ext. 2",
    "birthday": "1985-04-12",
    "company": "ACME; Söhne, Inc.",
    "job_title": "Head of Tea",
    "url": "https://example.org/zoe?a=1,2;3",
    "other_emails": [
        {"label": "home", "value": "z@example.org"},
        {"label": "", "value": "y@x.org"},
    ],
    "other_phones": [{"label": "Büro 2", "value": "1-800-FLOWERS"}],
    "addresses": [{"label": "work", "value": "5, Main St.; back door\nSpringfield IL 62701"}],
    "notes": " likes tea \r\n\tand\x01 cake\n",
}
CARD = """BEGIN:VCARD
VERSION:4.0
UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1
FN:Mary Doe
N:Doe;Mary;;;
EMAIL:mary@example.org
BDAY:19850412
NOTE:Tea
END:VCARD
"""


def create(client, **fields):
    response = client.post(CONTACTS, fields, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def send(client, text):
    body = text if isinstance(text, bytes) else text.encode()
    return client.generic("POST", f"{CONTACTS}/import", body, content_type="text/vcard")


def counts(response):
    assert response.status_code == 200, response.json()
    body = response.json()
    return body["created"], body["updated"], body["unchanged"], len(body["skipped"])


def exported(client):
    response = client.get(f"{CONTACTS}/export")
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def names(client, query):
    return {each["first_name"] for each in client.get(f"{CONTACTS}?{query}").json()["results"]}


def test_create_answers_the_whole_contact(as_alice, alice):
    response = as_alice.post(CONTACTS, WHOLE, format="json")
    contact = Contact.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver{CONTACTS}/{contact.pk}"
    assert response.json() == {
        "id": contact.pk,
        **WHOLE,
        "created_at": contact.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updated_at": contact.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    assert (contact.owner, contact.birthday_key) == (alice, 412)
    assert as_alice.get(f"{CONTACTS}/{contact.pk}").json() == response.json()


def test_server_fields_in_the_body_are_refused_by_name(as_alice, bob):
    made = create(as_alice, first_name="A")
    sent = {"id": 10**12, "owner": bob.pk, "owner_id": bob.pk, "uid": "x", "birthday_key": 1}
    sent |= {"search_text": "x", "created_at": "2000-01-01T00:00:00Z"}
    added = as_alice.post(CONTACTS, {**sent, "first_name": "B"}, format="json")
    changed = as_alice.patch(f"{CONTACTS}/{made['id']}", {**sent, "last_name": "B"}, format="json")
    for response, shown in ((added, ()), (changed, ("id", "created_at"))):
        assert response.status_code == 400
        assert {error["field"]: error["code"] for error in response.json()["errors"]} == {
            name: "read_only" if name in shown else "unknown_field" for name in sent
        }
    assert as_alice.get(CONTACTS).json()["results"] == [made]


def test_put_replaces_and_patch_changes(as_alice):
    made = create(as_alice, **WHOLE)
    url = f"{CONTACTS}/{made['id']}"
    changed = as_alice.patch(url, {"birthday": "2000-02-29"}, format="json").json()
    assert changed == {**made, "birthday": "2000-02-29", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    assert Contact.objects.get().birthday_key == 229
    replaced = as_alice.put(url, {"last_name": "New"}, format="json").json()
    assert (replaced["first_name"], replaced["last_name"]) == ("", "New")
    assert (replaced["email"], replaced["phone"], replaced["notes"]) == ("", "", "")
    assert replaced["birthday"] is None
    assert (Contact.objects.get().birthday_key, Contact.objects.get().search_text) == (None, "new")


def test_a_write_that_changes_nothing_keeps_the_time(as_alice):
    made = create(as_alice, **WHOLE)
    url = f"{CONTACTS}/{made['id']}"
    for response in (
        as_alice.patch(url, {}, format="json"),
        as_alice.patch(url, {"notes": WHOLE["notes"]}, format="json"),
        as_alice.put(url, WHOLE, format="json"),
    ):
        assert response.json() == made


def test_patch_does_not_undo_what_somebody_else_wrote_meanwhile(as_alice):
    made = create(as_alice, first_name="A")
    stale = Contact.objects.get()
    as_alice.patch(f"{CONTACTS}/{made['id']}", {"phone": "1"}, format="json")
    actions.update_contact(contact=stale, changes={"last_name": "B"}, now=timezone.now())
    after = Contact.objects.get()
    assert (after.first_name, after.last_name, after.phone) == ("A", "B", "1")
    assert after.search_text == "a\nb\n\n1"


def test_delete(as_alice):
    url = f"{CONTACTS}/{create(as_alice, first_name='A')['id']}"
    assert as_alice.delete(url).status_code == 204
    assert as_alice.get(url).status_code == 404
    assert as_alice.delete(url).status_code == 404
    assert not Contact.objects.exists()


def test_writing_a_contact_that_has_just_gone_is_404(as_alice, alice):
    create(as_alice, first_name="A")
    stale = Contact.objects.get()
    Contact.objects.all().delete()
    with pytest.raises(actions.ContactGone):
        actions.update_contact(contact=stale, changes={"phone": "1"}, now=timezone.now())
    with pytest.raises(actions.ContactGone):
        actions.delete_contact(contact=stale)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_what_a_stranger_may_not_see_is_byte_for_byte_not_there(as_alice, as_carol, method):
    made = create(as_alice, first_name="secret")
    answers = []
    for pk in (made["id"], made["id"] + 1000):
        response = getattr(as_carol, method)(
            f"{CONTACTS}/{pk}",
            {"first_name": "mine"} if method in ("put", "patch") else None,
            format="json",
            HTTP_X_REQUEST_ID="same",
        )
        answers.append((response.status_code, response.content))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert as_alice.get(f"{CONTACTS}/{made['id']}").json() == made


def test_contacts_go_with_the_account_and_no_others_do(as_alice, as_carol, carol):
    create(as_alice, first_name="A")
    create(as_carol, first_name="C")
    response = as_alice.delete("/api/v1/auth/me", {"password": PASSWORD}, format="json")
    assert response.status_code == 204
    assert Contact.objects.get().owner == carol


@pytest.mark.parametrize(
    "sent",
    [{}, {"phone": "1"}, {"first_name": "", "last_name": " ", "email": "", "notes": "x"}],
)
def test_a_contact_without_name_and_address_is_refused(as_alice, sent):
    response = as_alice.post(CONTACTS, sent, format="json")
    assert (response.status_code, response.json()["code"]) == (400, "nameless")
    made = create(as_alice, email="a@example.org")
    response = as_alice.patch(f"{CONTACTS}/{made['id']}", {"email": ""}, format="json")
    assert (response.status_code, response.json()["code"]) == (400, "nameless")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", "x" * 101),
        ("first_name", "a\nTEL:1"),
        ("first_name", 5),
        ("last_name", "x" * 101),
        ("last_name", "a\u2028b"),
        ("email", "x"),
        ("email", f"{'x' * 250}@a.org"),
        ("email", '"\x0b"@example.org'),
        ("phone", "1" * 51),
        ("phone", "()-"),
        ("phone", "\u202d\u202c-"),
        ("company", "x" * 201),
        ("job_title", "a\nb"),
        ("url", "x" * 1001),
        ("other_emails", "a@x.org"),
        ("other_emails", [{"label": "", "value": "a@x.org"}] * 21),
        ("phone", "1\n2"),
        ("phone", 12345),
        ("birthday", "2001-02-29"),
        ("birthday", "--02-30"),
        ("birthday", "--4-12"),
        ("birthday", "---12"),
        ("birthday", "1985-04"),
        ("birthday", ""),
        ("birthday", 19850412),
        ("notes", "x" * 10_001),
        ("notes", 5),
    ],
)
def test_bad_fields_are_named(as_alice, field, value):
    response = as_alice.post(CONTACTS, {"last_name": "A", field: value}, format="json")
    assert response.status_code == 400
    assert [entry["field"] for entry in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("field", "entry", "wrong"),
    [
        ("other_emails", {"value": "x"}, "0.value"),
        ("other_emails", {"label": "work"}, "0.value"),
        ("other_emails", {"label": "work", "value": ""}, "0.value"),
        ("other_emails", {"value": "a@x.org", "lable": "work"}, "0.lable"),
        ("other_emails", "a@x.org", "0"),
        ("other_phones", {"value": "()"}, "0.value"),
        ("other_phones", {"value": "1" * 51}, "0.value"),
        ("other_phones", {"value": "1", "label": "x" * 51}, "0.label"),
        ("other_phones", {"value": "1", "label": "a\nb"}, "0.label"),
        ("addresses", {"value": " \n "}, "0.value"),
        ("addresses", {"value": "a\x01b"}, "0.value"),
        ("addresses", {"value": "x" * 501}, "0.value"),
        ("addresses", {"value": 5}, "0.value"),
        ("addresses", {"street": "x", "value": "y"}, "0.street"),
    ],
)
def test_bad_entries_are_named(as_alice, field, entry, wrong):
    url = f"{CONTACTS}/{create(as_alice, first_name='A')['id']}"
    for response in (
        as_alice.post(CONTACTS, {"last_name": "A", field: [entry]}, format="json"),
        as_alice.patch(url, {field: [entry]}, format="json"),
    ):
        assert response.status_code == 400
        assert [each["field"] for each in response.json()["errors"]] == [f"{field}.{wrong}"]


def test_a_patch_of_entries_replaces_the_list(as_alice):
    made = create(as_alice, **WHOLE)
    entry = {"value": " 1\u2011800\u00a0 flowers;ext=5\u202c "}
    sent = {"other_phones": [entry], "addresses": [{"label": " a ", "value": " b \r\n\n c\td"}]}
    changed = as_alice.patch(f"{CONTACTS}/{made['id']}", sent, format="json").json()
    assert changed["other_phones"] == [{"label": "", "value": "1-800 flowers ext 5"}]
    assert changed["addresses"] == [{"label": "a", "value": "b\nc d"}]
    assert changed["other_emails"] == made["other_emails"]
    replaced = as_alice.put(f"{CONTACTS}/{made['id']}", {"last_name": "New"}, format="json").json()
    for name in ("other_emails", "other_phones", "addresses"):
        assert replaced[name] == []
    assert (replaced["company"], replaced["job_title"], replaced["url"]) == ("", "", "")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("+1 (555)\u2011010\u201300", "+1 (555)-010-00"),
        ("\u202a+49\u00a030 1\u202c", "+49 30 1"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
        ("555-0100;ext=12", "555-0100 ext 12"),
        ("٠١٢", "٠١٢"),
        ("call me", "call me"),
    ],
)
def test_phone_numbers_are_taken_as_people_write_them(as_alice, sent, shown):
    assert create(as_alice, first_name="A", phone=sent)["phone"] == shown


@pytest.mark.parametrize(
    ("sent", "shown", "stored"),
    [
        ("--04-12", "--04-12", (None, 412)),
        ("--0229", "--02-29", (None, 229)),
        ("2000-02-29", "2000-02-29", (dt.date(2000, 2, 29), 229)),
        (None, None, (None, None)),
    ],
)
def test_a_birthday_may_be_without_its_year(as_alice, sent, shown, stored):
    made = create(as_alice, first_name="A", birthday=sent)
    contact = Contact.objects.get()
    assert (made["birthday"], contact.birthday, contact.birthday_key) == (shown, *stored)
    url = f"{CONTACTS}/{made['id']}"
    assert as_alice.put(url, made, format="json").json() == made
    for birthday in ("--01-31", "1999-12-24", "--12-24", None):
        changed = as_alice.patch(url, {"birthday": birthday}, format="json").json()
        assert changed["birthday"] == birthday
        assert as_alice.get(url).json() == changed


def test_the_largest_contact(as_alice):
    whole = {"first_name": "é" * 100, "last_name": "👩" * 100, "notes": "👩" * 10_000}
    email, phone = {"label": "👩" * 50, "value": "e@x.org"}, {"label": "é" * 50, "value": "5" * 50}
    whole |= {"other_emails": [email] * 20, "other_phones": [phone] * 20}
    whole |= {"addresses": [{"label": "👩" * 50, "value": "👩" * 500}] * 20, "url": "x" * 1000}
    made = create(as_alice, **whole)
    assert made == {**made, **whole}
    assert as_alice.get(CONTACTS).json()["results"] == [made]


class TestList:
    def test_newest_edit_first_in_pages(self, as_alice, as_carol):
        create(as_carol, first_name="not alice's")
        ids = [create(as_alice, first_name=str(number))["id"] for number in range(7)]
        as_alice.patch(f"{CONTACTS}/{ids[2]}", {"phone": "1"}, format="json")
        expected = [ids[2], *(pk for pk in reversed(ids) if pk != ids[2])]
        seen, cursor = [], ""
        while cursor is not None:
            page = as_alice.get(f"{CONTACTS}?limit=3&count=true&cursor={cursor}").json()
            assert page["count"] == 7
            seen += [contact["id"] for contact in page["results"]]
            cursor = page["next"]
        assert seen == expected

    def test_pages_do_not_shift_or_repeat_when_times_are_equal(self, as_alice, alice):
        cards = "".join(CARD.replace("eff6b1", f"00000{n}") for n in range(5))
        assert counts(send(as_alice, cards)) == (5, 0, 0, 0)
        seen, cursor = [], ""
        while cursor is not None:
            page = as_alice.get(f"{CONTACTS}?limit=1&cursor={cursor}").json()
            seen += [contact["id"] for contact in page["results"]]
            cursor = page["next"]
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == 5

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", {"Zoë", "STRASSE", "50%", "a_b"}),
            ("%20%20", {"Zoë", "STRASSE", "50%", "a_b"}),
            ("ZOË", {"Zoë"}),
            ("zoe%CC%88", {"Zoë"}),
            ("straße", {"STRASSE"}),
            ("neil", {"Zoë"}),
            ("@EXAMPLE", {"Zoë"}),
            ("555", {"Zoë"}),
            ("%25", {"50%"}),
            ("_", {"a_b"}),
            ("a_", {"a_b"}),
            ("%5C", set()),
            ("likes", set()),
            ("x" * 200, set()),
            ("%EF%B7%BA" * 200, set()),
        ],
    )
    def test_search(self, as_alice, as_carol, text, found):
        create(as_alice, **WHOLE)
        create(as_alice, first_name="STRASSE")
        create(as_alice, first_name="50%")
        create(as_alice, first_name="a_b")
        create(as_carol, **WHOLE)
        assert names(as_alice, f"q={text}") == found

    def test_search_goes_on_over_pages(self, as_alice):
        for number in range(6):
            create(as_alice, first_name=f"{'even' if number % 2 == 0 else 'odd'}{number}")
        page = as_alice.get(f"{CONTACTS}?q=EVEN&limit=2&count=true").json()
        assert page["count"] == 3
        rest = as_alice.get(f"{CONTACTS}?q=EVEN&limit=2&cursor={page['next']}").json()
        found = [each["first_name"] for each in page["results"] + rest["results"]]
        assert found == ["even4", "even2", "even0"]
        assert rest["next"] is None

    def test_a_search_of_201_characters_is_400(self, as_alice):
        response = as_alice.get(f"{CONTACTS}?q={'x' * 201}")
        assert response.status_code == 400
        assert response.json()["errors"][0] == {
            "field": "q",
            "code": "max_length",
            "detail": "Ensure this field has no more than 200 characters.",
        }

    def test_queries(self, as_alice, django_assert_num_queries):
        for number in range(3):
            create(as_alice, first_name=str(number))
        with django_assert_num_queries(2):  # session JOIN user; contacts
            as_alice.get(f"{CONTACTS}?q=1")


def test_queries_of_one_contact_and_of_writes(as_alice, django_assert_num_queries):
    url = f"{CONTACTS}/{create(as_alice, first_name='A')['id']}"
    with django_assert_num_queries(2):  # session JOIN user; contact
        as_alice.get(url)
    # session; savepoint of the test; lock of the owner; count; insert; release
    with django_assert_num_queries(6):
        create(as_alice, first_name="B")
    with django_assert_num_queries(6):  # session; contact; savepoint; lock; update; release
        as_alice.patch(url, {"phone": "1"}, format="json")
    with django_assert_num_queries(3):  # session; contact; delete
        as_alice.delete(url)


class TestRoom:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(actions, "MAX_CONTACTS", 2)

    def test_one_more_is_409_and_leaves_nothing(self, as_alice, as_carol):
        for _ in range(2):
            made = create(as_alice, first_name="A")
        response = as_alice.post(CONTACTS, {"first_name": "A"}, format="json")
        assert (response.status_code, response.json()["code"]) == (409, "too_many_contacts")
        assert Contact.objects.count() == 2
        create(as_carol, first_name="C")
        as_alice.delete(f"{CONTACTS}/{made['id']}")
        create(as_alice, first_name="A")

    def test_an_import_fits_whole_or_not_at_all(self, as_alice):
        cards = [CARD.replace("eff6b1", f"00000{n}") for n in range(3)]
        response = send(as_alice, "".join(cards))
        assert (response.status_code, response.json()["code"]) == (409, "too_many_contacts")
        assert not Contact.objects.exists()
        assert counts(send(as_alice, "".join(cards[:2]))) == (2, 0, 0, 0)
        assert counts(send(as_alice, "".join(cards[:2]))) == (0, 0, 2, 0)

    @pytest.mark.postgresql
    @pytest.mark.django_db(transaction=True)
    def test_of_many_at_once_as_many_as_fit_succeed(self, alice):
        """On SQLite writing transactions are one after the other anyway."""
        statuses = []

        def make(client):
            response = client.post(CONTACTS, {"first_name": "A"}, format="json")
            statuses.append(response.status_code)
            connection.close()

        threads = [threading.Thread(target=make, args=(client_of(alice),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201] * 2 + [409] * 6
        assert Contact.objects.count() == 2


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_name": "", "last_name": "", "email": ""},
        {"birthday_key": 100},
        {"birthday_key": 1232},
        {"birthday": dt.date(2000, 1, 1)},
        {"uid": "taken"},
    ],
)
def test_the_database_keeps_the_rules(alice, wrong):
    Contact.objects.create(owner=alice, first_name="A", uid="taken")
    with pytest.raises(IntegrityError), transaction.atomic():
        Contact.objects.create(owner=alice, **{"first_name": "A", **wrong})
