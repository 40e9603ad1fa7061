from unittest.mock import patch

import bcrypt
import pytest
from django.contrib.auth.hashers import make_password

from accounts import hashers
from accounts.models import Session, User
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
LOGIN = "/api/v1/auth/login"


@pytest.mark.parametrize(
    "identifier",
    [
        {"username": "alice"},
        {"username": "ALICE"},
        {"username": "Alice@Example.org"},
        {"email": "alice@EXAMPLE.org"},
    ],
)
def test_by_email_or_username_however_written(alice, anonymous, identifier):
    response = anonymous.post(LOGIN, {**identifier, "password": PASSWORD}, format="json")
    assert response.status_code == 200
    assert set(response.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}


def test_the_oauth2_password_form(alice, anonymous):
    form = f"grant_type=password&username=alice&password={PASSWORD.replace(' ', '+')}&client_id=x"
    response = anonymous.post(LOGIN, form, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


def test_a_field_twice_in_the_form_is_refused(alice, anonymous):
    form = "username=alice&username=bob&password=x"
    response = anonymous.post(LOGIN, form, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 400


def test_every_refusal_looks_the_same_and_costs_one_hash(alice, bob, anonymous):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    attempts = [("alice", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("bob", "wrong")]
    answers = set()
    for name, password in attempts:
        with patch.object(bcrypt, "hashpw", wraps=bcrypt.hashpw) as hashed:
            response = anonymous.post(
                LOGIN, {"username": name, "password": password}, format="json"
            )
        assert hashed.call_count == 1, (name, password)
        body = response.json()
        del body["request_id"]
        answers.add((response.status_code, repr(body)))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert not Session.objects.exists()


@pytest.mark.parametrize("hasher", ["pbkdf2_sha256", "bcrypt", "argon2"])
def test_old_hashes_verify_and_are_upgraded(alice, anonymous, hasher):
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher=hasher))
    response = anonymous.post(LOGIN, {"username": "alice", "password": PASSWORD}, format="json")
    assert response.status_code == 200
    alice.refresh_from_db()
    assert alice.password.startswith("bcrypt_sha256$")
    assert alice.check_password(PASSWORD)


def test_a_long_password_against_a_plain_bcrypt_hash_is_no_error(alice, anonymous):
    hashed = make_password("x" * 72, hasher="bcrypt")
    User.objects.filter(pk=alice.pk).update(password=hashed)
    response = anonymous.post(LOGIN, {"username": "alice", "password": "y" * 128}, format="json")
    assert response.status_code == 401


def test_a_session_remembers_its_device(alice, anonymous):
    anonymous.post(
        LOGIN,
        {"username": "alice", "password": PASSWORD},
        format="json",
        HTTP_USER_AGENT="phone\t" + "x" * 400,
        REMOTE_ADDR="203.0.113.9",
    )
    session = Session.objects.get()
    assert session.address == "203.0.113.9"
    assert session.user_agent == "phone" + "x" * 295


def test_an_authorization_header_does_not_hinder_login(alice, anonymous):
    anonymous.credentials(HTTP_AUTHORIZATION="Basic Y2xpZW50OnNlY3JldA==")
    body = {"username": "alice", "password": PASSWORD}
    assert anonymous.post(LOGIN, body, format="json").status_code == 200


def test_a_disabled_user_is_out_at_once(alice):
    client = client_of(alice)
    assert client.get("/api/v1/auth/me").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get("/api/v1/auth/me").status_code == 401


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_what_changes_while_the_password_is_hashed_counts(alice, anonymous, monkeypatch, change):
    checks = User.check_password

    def slow(user, password):
        right = checks(user, password)
        User.objects.filter(pk=user.pk).update(**change)
        return right

    monkeypatch.setattr(User, "check_password", slow)
    response = anonymous.post(LOGIN, {"username": "alice", "password": PASSWORD}, format="json")
    assert response.status_code == 401
    assert not Session.objects.exists()


def test_an_upgrade_of_the_hash_does_not_undo_a_change_of_the_password(alice, anonymous):
    """The old password is being verified, slowly, while the account gets another one."""
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="bcrypt"))
    verify = hashers.PlainBCryptPasswordHasher.verify

    def slowly(self, password, encoded):
        changed = make_password("another long one")
        User.objects.filter(pk=alice.pk).update(password=changed)
        return verify(self, password, encoded)

    with patch.object(hashers.PlainBCryptPasswordHasher, "verify", slowly):
        body = {"username": "alice", "password": PASSWORD}
        assert anonymous.post(LOGIN, body, format="json").status_code == 401
    body["password"] = "another long one"
    assert anonymous.post(LOGIN, body, format="json").status_code == 200


def test_two_first_log_ins_at_once_both_get_in(alice, anonymous):
    """The other one has upgraded the hash between this one's look and its write."""
    old = make_password(PASSWORD, hasher="bcrypt")
    User.objects.filter(pk=alice.pk).update(password=old)
    first, second = (User.objects.get(pk=alice.pk) for _ in range(2))
    assert first.check_password(PASSWORD)
    assert second.check_password(PASSWORD)
    assert first.password == second.password == User.objects.get(pk=alice.pk).password


def test_name_and_address_share_one_limit(alice, anonymous, settings):
    settings.RATE_LIMITS = True
    statuses = [
        anonymous.post(LOGIN, {"username": name, "password": "wrong"}, format="json").status_code
        for name in ("alice", "alice@example.org") * 6
    ]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize(("hasher", "runs"), [("pbkdf2_sha256", 1), ("bcrypt", 1), ("default", 1)])
def test_a_wrong_password_costs_bcrypt_once_whatever_the_stored_hash(
    alice, anonymous, hasher, runs
):
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher=hasher))
    with patch.object(bcrypt, "hashpw", wraps=bcrypt.hashpw) as hashed:
        anonymous.post(LOGIN, {"username": "alice", "password": "wrong"}, format="json")
    assert hashed.call_count == runs
