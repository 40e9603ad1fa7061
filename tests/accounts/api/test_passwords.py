"""``auth/password/…``: what a change ends, what a mail can do, and how often."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import bcrypt
import pyotp
import pytest
import requests
from django.utils import timezone

from accounts.actions import credentials, passwords, second_factors
from accounts.models import SecondFactor, Session, User
from tests.conftest import PASSWORD, client_of
from tests.mailserver import token

pytestmark = pytest.mark.django_db
CHANGE, FORGOT, RESET = (f"/api/v1/auth/password/{verb}" for verb in ("change", "forgot", "reset"))
LOGIN, ME = "/api/v1/auth/login", "/api/v1/auth/me"
NEW = "  another long one "


def can_log_in(anonymous, password):
    body = {"username": "alice", "password": password}
    return anonymous.post(LOGIN, body, format="json").status_code == 200


def forgotten(anonymous, mailbox, email="alice@example.org"):
    anonymous.post(FORGOT, {"email": email}, format="json")
    return token(mailbox.fetch().last())


class TestChange:
    body = {"password": PASSWORD, "new_password": NEW}

    def test_it_ends_everything_and_answers_with_new_tokens(
        self, alice, as_alice, anonymous, mailbox
    ):
        other = client_of(alice)
        answer = as_alice.post(CHANGE, self.body, format="json")
        assert answer.status_code == 200
        assert as_alice.get(ME).status_code == other.get(ME).status_code == 401
        as_alice.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
        assert as_alice.get(ME).status_code == 200
        assert can_log_in(anonymous, NEW)
        assert not can_log_in(anonymous, PASSWORD)
        assert "Your password was changed" in mailbox.fetch().subjects

    def test_it_asks_for_the_current_password(self, alice, as_alice):
        answer = as_alice.post(CHANGE, {**self.body, "password": "wrong"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
        assert as_alice.get(ME).status_code == 200

    @pytest.mark.parametrize("new", ["short", "password", "x" * 129, 7 * "x"])
    def test_a_poor_new_one_is_refused(self, alice, as_alice, new):
        answer = as_alice.post(CHANGE, {**self.body, "new_password": new}, format="json")
        assert answer.status_code == 400

    def test_the_second_of_two_is_refused(self, alice):
        """Both have checked the old password; the one that comes second must not win."""
        stale = User.objects.get(pk=alice.pk)
        options = {"user_agent": "", "address": "", "now": timezone.now()}
        passwords.change_password(user=alice, password=PASSWORD, new_password=NEW, **options)
        with pytest.raises(credentials.WrongPassword):
            passwords.change_password(
                user=stale, password=PASSWORD, new_password="an attacker's", **options
            )


class TestForgotten:
    def test_the_link_sets_a_new_one_once(self, alice, as_alice, anonymous, mailbox):
        body = {"token": forgotten(anonymous, mailbox, "ALICE@example.org"), "password": NEW}
        assert mailbox.server.last()["X-Recipient"] == "alice@example.org"  # as it is stored
        assert anonymous.post(RESET, body, format="json").status_code == 204
        assert as_alice.get(ME).status_code == 401
        assert can_log_in(anonymous, NEW)
        assert anonymous.post(RESET, body, format="json").status_code == 400
        assert User.objects.get().email_verified  # the mail was read

    def test_a_second_factor_that_a_stranger_set_up_goes_with_the_first_proof_of_the_address(
        self, alice, anonymous, mailbox
    ):
        for verified, left in ((False, 0), (True, 1)):
            now = timezone.now()
            factor = second_factors.begin(user=alice, password=PASSWORD, now=now)
            code = pyotp.TOTP(second_factors.secret_of(factor)).at(now)
            second_factors.confirm(user=alice, code=code, now=now)
            body = {"token": forgotten(anonymous, mailbox), "password": PASSWORD}
            assert anonymous.post(RESET, body, format="json").status_code == 204
            assert SecondFactor.objects.count() == left, verified
            alice.refresh_from_db()

    def test_every_answer_is_the_same_and_no_hasher_runs(self, alice, anonymous, mailbox):
        answers = set()
        with patch.object(bcrypt, "hashpw", wraps=bcrypt.hashpw) as hashed:
            for email in ("alice@example.org", "nobody@example.org"):
                answer = anonymous.post(FORGOT, {"email": email}, format="json")
                answers.add((answer.status_code, answer.content))
        assert hashed.call_count == 0
        assert len(answers) == 1
        assert len(mailbox.fetch().taken) == 1

    def test_the_hasher_runs_once_whatever_the_token(self, alice, anonymous, mailbox):
        right = forgotten(anonymous, mailbox)
        for given in ("nonsense", right):
            with patch.object(bcrypt, "hashpw", wraps=bcrypt.hashpw) as hashed:
                anonymous.post(RESET, {"token": given, "password": NEW}, format="json")
            assert hashed.call_count == 1

    def test_it_dies_with_a_change_of_the_password(self, alice, as_alice, anonymous, mailbox):
        reset = forgotten(anonymous, mailbox)
        as_alice.post(CHANGE, TestChange.body, format="json")
        body = {"token": reset, "password": "an attacker's"}
        assert anonymous.post(RESET, body, format="json").status_code == 400

    def test_one_that_waits_for_the_mail_server_dies_too(self, alice, as_alice, anonymous, mailbox):
        anonymous.post(FORGOT, {"email": alice.email}, format="json")
        as_alice.post(CHANGE, TestChange.body, format="json")
        assert "Choose a new password" not in mailbox.fetch().subjects

    def test_all_links_die_with_the_first_that_is_used(self, alice, anonymous, mailbox):
        first, second = (forgotten(anonymous, mailbox) for _ in range(2))
        for given, status in ((first, 204), (second, 400)):
            answer = anonymous.post(RESET, {"token": given, "password": NEW}, format="json")
            assert answer.status_code == status

    def test_a_disabled_account_gets_no_mail(self, alice, anonymous, mailbox):
        User.objects.update(is_active=False)
        anonymous.post(FORGOT, {"email": alice.email}, format="json")
        assert mailbox.fetch().taken == []

    def test_a_poor_password_leaves_the_link_alone(self, alice, anonymous, mailbox):
        reset = forgotten(anonymous, mailbox)
        assert (
            anonymous.post(RESET, {"token": reset, "password": "short"}, format="json").status_code
            == 400
        )
        body = {"token": reset, "password": NEW}
        assert anonymous.post(RESET, body, format="json").status_code == 204


def test_twenty_parallel_resets_by_one_link_give_one_success(mailing_server):
    server, mail_server = mailing_server
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    requests.post(f"{server.api}/auth/register", json=account, timeout=60)
    mail_server.wait_for(account["email"])
    forgotten = {"email": account["email"]}
    requests.post(f"{server.api}/auth/password/forgot", json=forgotten, timeout=60)
    mail_server.wait_for(account["email"], 2)
    body = {"token": token(mail_server.last(account["email"])), "password": NEW}

    def use(_):
        return requests.post(f"{server.api}/auth/password/reset", json=body, timeout=60).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(use, range(20))) == [204] + [400] * 19


def test_no_session_outlives_a_reset(alice, anonymous, mailbox):
    for _ in range(3):
        client_of(alice)
    body = {"token": forgotten(anonymous, mailbox), "password": NEW}
    anonymous.post(RESET, body, format="json")
    assert not Session.objects.live(timezone.now()).exists()
