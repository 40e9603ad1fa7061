"""``auth/email/…``: confirmed by link or code, once; changed; and told to nobody else."""

import datetime as dt
import secrets
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
import requests
from django.core.management import call_command
from django.utils import timezone

from accounts.actions import second_factors
from accounts.models import Mail, Session, User
from tests.conftest import PASSWORD, client_of, make_user
from tests.mailserver import code, text, token

pytestmark = pytest.mark.django_db
VERIFY, RESEND, CHANGE = (f"/api/v1/auth/email/{verb}" for verb in ("verify", "resend", "change"))
REGISTER, LOGIN, ME = (f"/api/v1/auth/{verb}" for verb in ("register", "login", "me"))
ACCOUNT = {"email": "Dora@Example.org", "password": PASSWORD, "username": "dora"}


@pytest.fixture
def required(settings):
    settings.EMAIL_VERIFICATION = "required"


def registered(anonymous, mailbox, **fields):
    anonymous.post(REGISTER, {**ACCOUNT, **fields}, format="json")
    return mailbox.fetch().last()


def test_registering_mails_a_link_and_a_code(anonymous, mailbox):
    message = registered(anonymous, mailbox)
    assert message["X-Recipient"] == "Dora@Example.org"
    answer = anonymous.post(VERIFY, {"token": token(message)}, format="json")
    assert (answer.status_code, answer.json()) == (
        200,
        {"email": "Dora@Example.org", "email_verified": True},
    )
    assert client_of(User.objects.get()).get(ME).json()["email_verified"] is True


def test_the_code_does_the_same(anonymous, mailbox):
    message = registered(anonymous, mailbox)
    body = {"email": "dora@example.ORG", "code": code(message)}
    assert anonymous.post(VERIFY, body, format="json").status_code == 200
    assert anonymous.post(VERIFY, body, format="json").status_code == 400
    again = anonymous.post(VERIFY, {"token": token(message)}, format="json")
    assert (again.status_code, again.json()["code"]) == (400, "invalid_token")


def test_fifty_wrong_codes_and_the_right_one_is_worth_nothing_but_the_link_is(anonymous, mailbox):
    message = registered(anonymous, mailbox)
    for number in range(50):
        wrong = {"email": "dora@example.org", "code": f"{number:08}"}
        assert anonymous.post(VERIFY, wrong, format="json").status_code == 400
    right = {"email": "dora@example.org", "code": code(message)}
    assert anonymous.post(VERIFY, right, format="json").status_code == 400
    assert anonymous.post(VERIFY, {"token": token(message)}, format="json").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"token": "x"},
        {"token": "1.x"},
        {"token": "9" * 30 + ".x"},
        {"token": "99999999999999999999.x"},
        {"token": "é.é"},
        {"token": "1"},
        {"email": "dora@example.org", "code": "é"},
        {"email": "nobody@example.org", "code": "12345678"},
    ],
)
def test_nonsense_is_refused_in_the_same_words(anonymous, mailbox, body):
    registered(anonymous, mailbox)
    answer = anonymous.post(VERIFY, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_token")


@pytest.mark.parametrize("body", [{}, {"email": "dora@example.org"}, {"code": "12345678"}])
def test_half_of_it_is_not_enough(anonymous, body):
    answer = anonymous.post(VERIFY, body, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "required")


def test_after_an_hour_it_is_too_old(anonymous, mailbox):
    message = registered(anonymous, mailbox)
    mail = Mail.objects.get()
    assert mail.valid_until - mail.sent_at <= dt.timedelta(minutes=60)
    Mail.objects.update(valid_until=timezone.now())
    assert anonymous.post(VERIFY, {"token": token(message)}, format="json").status_code == 400


def test_a_token_is_for_one_purpose(alice, anonymous, mailbox):
    anonymous.post("/api/v1/auth/password/forgot", {"email": alice.email}, format="json")
    reset = token(mailbox.fetch().last())
    assert anonymous.post(VERIFY, {"token": reset}, format="json").status_code == 400
    anonymous.post(RESEND, {"email": alice.email}, format="json")
    verify = {"token": token(mailbox.fetch().last()), "password": "a new long one"}
    answer = anonymous.post("/api/v1/auth/password/reset", verify, format="json")
    assert answer.status_code == 400


def test_resending_answers_the_same_and_mails_only_who_needs_it(alice, bob, anonymous, mailbox):
    User.objects.filter(pk=bob.pk).update(email_verified_at=timezone.now())
    answers = set()
    for email in ("ALICE@example.org", "bob@example.org", "nobody@example.org"):
        answer = anonymous.post(RESEND, {"email": email}, format="json")
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    taken = mailbox.fetch().taken
    assert [message["X-Recipient"] for message in taken] == ["alice@example.org"]
    assert Mail.objects.count() == 1  # the others are dropped


@pytest.mark.parametrize("address", ["auth/email/resend", "auth/password/forgot"])
def test_asking_costs_the_same_for_anybody(alice, anonymous, django_assert_num_queries, address):
    for email in ("alice@example.org", "nobody@example.org"):
        with django_assert_num_queries(2):  # the user looked for, a mail written
            anonymous.post(f"/api/v1/{address}", {"email": email}, format="json")


class TestChange:
    @pytest.fixture
    def asked(self, alice, as_alice, mailbox):
        body = {"email": "New@Example.org", "password": PASSWORD}
        answer = as_alice.post(CHANGE, body, format="json")
        assert answer.status_code == 202
        return mailbox.fetch().last()

    def test_the_new_address_confirms_and_the_old_one_is_told(
        self, alice, as_alice, anonymous, asked, mailbox
    ):
        assert asked["X-Recipient"] == "New@Example.org"
        assert as_alice.get(ME).json()["email"] == "alice@example.org"  # not before
        assert anonymous.post(VERIFY, {"token": token(asked)}, format="json").status_code == 200
        me = as_alice.get(ME).json()
        assert (me["email"], me["email_verified"]) == ("New@Example.org", True)
        told = mailbox.fetch().last()
        assert told["X-Recipient"] == "alice@example.org"
        assert "New@Example.org" in text(told)
        body = {"email": "new@example.org", "password": PASSWORD}
        assert anonymous.post(LOGIN, body, format="json").status_code == 200
        body["email"] = "alice@example.org"
        assert anonymous.post(LOGIN, body, format="json").status_code == 401

    def test_by_code(self, anonymous, asked):
        body = {"email": "new@example.org", "code": code(asked)}
        assert anonymous.post(VERIFY, body, format="json").status_code == 200

    def test_it_asks_for_the_password(self, as_alice, alice):
        body = {"email": "new@example.org", "password": "wrong"}
        answer = as_alice.post(CHANGE, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
        assert not Mail.objects.exists()

    def test_links_of_before_are_void(self, alice, as_alice, anonymous, mailbox):
        anonymous.post("/api/v1/auth/password/forgot", {"email": alice.email}, format="json")
        reset = token(mailbox.fetch().last())
        as_alice.post(CHANGE, {"email": "n@example.org", "password": PASSWORD}, format="json")
        anonymous.post(VERIFY, {"token": token(mailbox.fetch().last())}, format="json")
        body = {"token": reset, "password": "a new long one"}
        assert anonymous.post("/api/v1/auth/password/reset", body, format="json").status_code == 400

    def test_a_taken_address_is_told_and_the_asker_is_not(self, as_alice, bob, mailbox):
        body = {"email": "BOB@example.org", "password": PASSWORD}
        free = as_alice.post(CHANGE, {**body, "email": "free@example.org"}, format="json")
        taken = as_alice.post(CHANGE, body, format="json")
        assert (taken.status_code, taken.content) == (free.status_code, free.content)
        mailbox.fetch()
        assert mailbox.server.last("bob@example.org")["Subject"].startswith("You have an account")

    def test_an_address_taken_meanwhile_is_refused_and_the_link_stays(
        self, anonymous, asked, as_alice
    ):
        other = make_user("other")
        User.objects.filter(pk=other.pk).update(
            email="new@example.org", email_folded="new@example.org"
        )
        answer = anonymous.post(VERIFY, {"token": token(asked)}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "email_taken")
        assert as_alice.get(ME).json()["email"] == "alice@example.org"


class TestRequired:
    def test_registering_answers_the_same_always(self, required, alice, anonymous, mailbox):
        User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
        answers = set()
        for fields in (
            ACCOUNT,
            ACCOUNT,
            {**ACCOUNT, "email": "ALICE@example.org"},
            {**ACCOUNT, "email": "other@example.org", "username": "ALICE"},
        ):
            answer = anonymous.post(REGISTER, fields, format="json")
            answers.add((answer.status_code, answer.content))
        assert len(answers) == 1
        assert answers.pop()[0] == 202
        assert not Session.objects.exists()
        assert set(User.objects.values_list("email_folded", "username")) == {
            ("alice@example.org", "alice"),
            ("dora@example.org", "dora"),
            ("other@example.org", None),
        }
        mailbox.fetch()
        assert mailbox.server.last("alice@example.org")["Subject"].startswith("You have an account")

    def test_log_in_works_after_verification(self, required, anonymous, mailbox):
        message = registered(anonymous, mailbox)
        answer = anonymous.post(LOGIN, ACCOUNT, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
        wrong = anonymous.post(LOGIN, {**ACCOUNT, "password": "wrong"}, format="json")
        assert wrong.status_code == 401  # only who has the password hears of it
        body = {"token": token(message)}
        asked = anonymous.post(VERIFY, body, format="json")
        assert (asked.status_code, asked.json()["code"]) == (400, "password_needed")
        confirmed = anonymous.post(VERIFY, {**body, "password": PASSWORD}, format="json")
        assert confirmed.status_code == 200
        assert anonymous.post(LOGIN, ACCOUNT, format="json").status_code == 200

    @pytest.mark.parametrize("way", ["register", "resend", "the attacker's own mail"])
    def test_who_registered_somebody_elses_address_does_not_know_its_password(
        self, required, anonymous, mailbox, way
    ):
        message = registered(anonymous, mailbox, password="the attacker's")
        if way == "register":
            message = registered(anonymous, mailbox, password="the owner's own")
        elif way == "resend":
            anonymous.post(RESEND, {"email": ACCOUNT["email"]}, format="json")
            message = mailbox.fetch().last()
        body = {"token": token(message), "password": "the owner's own"}
        assert anonymous.post(VERIFY, body, format="json").status_code == 200
        statuses = [
            anonymous.post(LOGIN, {**ACCOUNT, "password": password}, format="json").status_code
            for password in ("the attacker's", "the owner's own")
        ]
        assert statuses == [401, 200]

    def test_by_code(self, required, anonymous, mailbox):
        message = registered(anonymous, mailbox)
        body = {"email": ACCOUNT["email"], "code": code(message), "password": "a new long one"}
        assert anonymous.post(VERIFY, body, format="json").status_code == 200
        login = {**ACCOUNT, "password": "a new long one"}
        assert anonymous.post(LOGIN, login, format="json").status_code == 200

    def test_a_session_from_before_it_was_required_ends_with_the_password_that_opened_it(
        self, settings, anonymous, mailbox
    ):
        anonymous.post(REGISTER, ACCOUNT, format="json")
        user, now = User.objects.get(), timezone.now()
        client = client_of(user)
        factor = second_factors.begin(user=user, password=PASSWORD, now=now)
        code = pyotp.TOTP(second_factors.secret_of(factor)).at(now)
        second_factors.confirm(user=user, code=code, now=now)
        settings.EMAIL_VERIFICATION = "required"
        mailbox.fetch()
        anonymous.post(RESEND, {"email": user.email}, format="json")
        body = {"token": token(mailbox.fetch().last()), "password": "the owner's own"}
        assert anonymous.post(VERIFY, body, format="json").status_code == 200
        assert client.get(ME).status_code == 401
        login = {**ACCOUNT, "password": "the owner's own"}
        assert anonymous.post(LOGIN, login, format="json").status_code == 200


def test_twenty_parallel_uses_of_one_link_give_one_success(mailing_server):
    server, mail_server = mailing_server
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    requests.post(f"{server.api}/auth/register", json=account, timeout=60)
    mail_server.wait_for(account["email"])
    body = {"token": token(mail_server.last(account["email"]))}

    def use(_):
        return requests.post(f"{server.api}/auth/email/verify", json=body, timeout=60).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(use, range(20))) == [200] + [400] * 19


def test_the_pages_that_links_open(client):
    for page in ("verify-email", "reset-password"):
        answer = client.get(f"/account/{page}")
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_disabled_account_verifies_nothing(anonymous, mailbox):
    message = registered(anonymous, mailbox)
    User.objects.update(is_active=False)
    assert anonymous.post(VERIFY, {"token": token(message)}, format="json").status_code == 400


def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True)
