import datetime as dt
import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.actions import contacts as actions
from accounts.models import Contact
from tests.accounts.address_books import (
    CARD,
    CONTACTS,
    WHOLE,
    counts,
    create,
    send,
)
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db


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
    assert after.search_text == "a\nb\n1\n1"


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
