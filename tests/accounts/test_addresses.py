"""One mailbox is one account, however its address is written."""

import importlib

import pytest
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from accounts.identifiers import InvalidAddress, canonical_address, fold_address
from accounts.models import Mail, User
from tests.conftest import PASSWORD

REGISTER, LOGIN, FORGOT = (
    "/api/v1/auth/" + path for path in ("register", "login", "password/forgot")
)
UMLAUT, ENCODED = "u@müller.example", "u@xn--mller-kva.example"


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("Alice@Example.ORG", "Alice@Example.ORG"),
        (UMLAUT, ENCODED),
        ("u@MÜLLER.example", ENCODED),
        ("u@XN--MLLER-KVA.example", ENCODED),
        ("u@mu\u0308ller.example", ENCODED),
        ("user@straße.example", "user@xn--strae-oqa.example"),
        ("u@例え。テスト", "u@xn--r8jz45g.xn--zckzah"),
        ("ſam@example.org", "sam@example.org"),
        ("\u212aim@example.org", "kim@example.org"),
        ("u@ab--cd.example", "u@ab--cd.example"),
        ("a+b@example.org", "a+b@example.org"),
    ],
)
def test_the_form_that_is_kept(address, canonical):
    assert canonical_address(address) == canonical
    assert canonical_address(canonical) == canonical
    assert fold_address(address) == canonical.casefold()


@pytest.mark.parametrize(
    "address",
    ["тест@example.org", "ü@example.org", "a@xn--a.example", "a@\u200bexample.org", "a@אa.com",
     "a@☃.example", "a@b\u2028.org", "a\x00@example.org", "a@-ü.example"],
)  # fmt: skip
def test_what_has_no_such_form(address):
    with pytest.raises(InvalidAddress):
        canonical_address(address)


def post(client, path, **body):
    return client.post(path, body, format="json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "second"),
    [(UMLAUT, ENCODED), (ENCODED, UMLAUT), ("sam@example.org", "ſam@example.org"),
     ("ſam@example.org", "sam@example.org"), ("a@straße.example", "a@xn--strae-oqa.example")],
)  # fmt: skip
def test_one_mailbox_has_one_account(anonymous, first, second):
    made = post(anonymous, REGISTER, email=first, password=PASSWORD)
    assert made.status_code == 201
    assert made.json()["user"]["email"] == canonical_address(first)
    taken = post(anonymous, REGISTER, email=second, password=PASSWORD)
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (400, "email")
    for address in (first, second, first.capitalize()):
        for name in ("email", "username"):
            answer = post(anonymous, LOGIN, **{name: address}, password=PASSWORD)
            assert answer.status_code == 200, address
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_straße_is_not_strasse(anonymous):
    for address in ("a@straße.example", "a@strasse.example"):
        assert post(anonymous, REGISTER, email=address, password=PASSWORD).status_code == 201
    assert User.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_mail_goes_to_the_mailbox_of_the_account(anonymous, mailbox):
    post(anonymous, REGISTER, email="sam@example.org", password=PASSWORD)
    post(anonymous, REGISTER, email=UMLAUT, password=PASSWORD)
    for typed, reached in (("ſam@example.org", "sam@example.org"), (UMLAUT, ENCODED)):
        assert post(anonymous, FORGOT, email=typed).status_code == 202
        assert Mail.objects.latest("pk").address == reached
        mailbox.fetch()
        assert "password" in mailbox.server.last(reached)["Subject"].lower()
    assert not Mail.objects.exclude(failed_at=None).exists()


@pytest.mark.django_db
def test_so_do_accounts_that_no_request_makes():
    user = User.objects.create_user(UMLAUT, PASSWORD)
    assert (user.email, user.email_folded) == (ENCODED, ENCODED)
    assert User.objects.get_by_natural_key(UMLAUT) == user


def old(email, folded, **fields):
    """Make an account as an earlier release kept it."""
    user = User(email=email, email_folded=folded, email_verified_at=timezone.now(), **fields)
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.mark.django_db
def test_what_was_there_is_rewritten_where_it_can_be(anonymous, capsys):
    umlaut = old(UMLAUT, UMLAUT)
    eszett = old("a@straße.example", "a@strasse.example")
    long_s = old("ſue@example.org", "sue@example.org")
    first = old("b@xn--bcher-kva.example", "b@xn--bcher-kva.example")
    twin = old("b@bücher.example", "b@bücher.example", username="twin")
    odd = old("ü@example.org", "ü@example.org")
    ascii_one = old("Ann@Example.org", "ann@example.org")
    importlib.import_module("accounts.migrations.0011_canonical_addresses").rewrite(apps, None)
    addresses = dict(User.objects.values_list("pk", "email"))
    assert addresses == {
        umlaut.pk: ENCODED,
        eszett.pk: "a@xn--strae-oqa.example",
        long_s.pk: "sue@example.org",
        first.pk: "b@xn--bcher-kva.example",
        twin.pk: "b@bücher.example",
        odd.pk: "ü@example.org",
        ascii_one.pk: "Ann@Example.org",
    }
    # Mail to the others went to another mailbox until now.
    unconfirmed = User.objects.filter(email_verified_at=None).values_list("pk", flat=True)
    assert set(unconfirmed) == {eszett.pk, long_s.pk}
    # Those that stay as they were still log in by what they have, and an operator is told.
    for user in (umlaut, first, twin, odd):
        answer = post(anonymous, LOGIN, email=user.email, password=PASSWORD)
        assert answer.status_code == 200
        anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
        assert anonymous.get("/api/v1/auth/me").json()["id"] == user.pk
        anonymous.credentials()
    with pytest.raises(SystemExit):
        call_command("check_addresses")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(twin.pk), str(odd.pk), "2"]
    assert f"the same mailbox as account {first.pk}" in lines[0]
    User.objects.filter(pk__in=[twin.pk, odd.pk]).delete()
    call_command("check_addresses")
