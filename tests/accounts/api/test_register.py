import pytest
from rest_framework.test import APIClient

from accounts.models import Mail, Session, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def register(client: APIClient, **fields: object):
    body = {"email": "Alice@Example.org", "password": PASSWORD, **fields}
    return client.post("/api/v1/auth/register", body, format="json")


def test_answers_user_and_tokens(anonymous):
    response = register(anonymous, username="Alice", full_name="Alice Liddell")
    assert response.status_code == 201
    body = response.json()
    assert body["user"] == {
        "id": User.objects.get().pk,
        "email": "Alice@Example.org",
        "username": "Alice",
        "full_name": "Alice Liddell",
        "email_verified": False,
        "language": "simple",
        "require_if_match": False,
        "avatar": None,
        "created_at": body["user"]["created_at"],
    }
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    me = anonymous.get("/api/v1/auth/me").json()
    del me["storage"]
    assert me == body["user"]
    user = User.objects.get()
    assert user.password.startswith("bcrypt_sha256$")
    assert Session.objects.get().user == user


@pytest.mark.parametrize(
    "address", ["alice@example.org", "ALICE@EXAMPLE.ORG", "ａlice@example.org", "Alice@Example.org"]
)
def test_taken_email_however_it_is_written(anonymous, address):
    assert register(anonymous).status_code == 201
    response = register(anonymous, email=address)
    if "ａ" in address:
        assert response.status_code == 400  # a full-width letter is no valid address at all
    else:
        assert (response.status_code, response.json()["code"]) == (400, "email_taken")
        assert [entry["field"] for entry in response.json()["errors"]] == ["email"]
    assert User.objects.count() == 1


@pytest.mark.parametrize("broken", ["access_token", "refresh_token"])
def test_tokens_that_cannot_be_signed_leave_no_account(anonymous, monkeypatch, caplog, broken):
    def fails(*args):
        raise NotImplementedError("Algorithm 'RS256' could not be found.")

    with monkeypatch.context() as patch:
        patch.setattr(f"accounts.jwt.{broken}", fails)
        response = register(anonymous)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert not User.objects.exists()
    assert not Session.objects.exists()
    assert not Mail.objects.exists()
    assert "registered" not in [record.message for record in caplog.records]
    assert register(anonymous).status_code == 201


def test_taken_username_is_compared_folded(anonymous):
    assert register(anonymous, username="Straße").status_code == 201
    response = register(anonymous, email="b@example.org", username="STRASSE")
    assert (response.status_code, response.json()["code"]) == (400, "username_taken")


@pytest.mark.parametrize("username", ["a@b", "a＠b", "\u200b", "a\u202eb", "x" * 61])
def test_unfit_usernames_are_refused(anonymous, username):
    response = register(anonymous, username=username)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "username"


@pytest.mark.parametrize("password", ["short77", "password123", "x" * 129, ""])
def test_weak_passwords_are_refused(anonymous, password):
    response = register(anonymous, password=password)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "password"
    assert not User.objects.exists()


def test_passwords_are_kept_exactly_as_typed(anonymous):
    register(anonymous, password="  two outer spaces  ")
    for typed, status in (("  two outer spaces  ", 200), ("two outer spaces", 401)):
        credentials = {"email": "alice@example.org", "password": typed}
        response = anonymous.post("/api/v1/auth/login", credentials, format="json")
        assert response.status_code == status


def test_server_fields_in_the_body_are_refused_by_name(anonymous):
    sent = {"id": 10**12, "is_staff": True, "is_superuser": True, "is_active": False, "version": 9}
    response = register(anonymous, **sent)
    assert response.status_code == 400
    errors = {error["field"]: error["code"] for error in response.json()["errors"]}
    assert errors == dict.fromkeys(sent, "unknown_field")
    assert not User.objects.exists()


def test_the_unprefixed_path_is_the_same_view(anonymous):
    body = {"email": "bob@example.org", "password": PASSWORD}
    assert anonymous.post("/register", body, format="json").status_code == 201
    assert anonymous.post("/login", body, format="json").status_code == 200
    assert anonymous.post("/auth/login", body, format="json").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [{"username": "\ufdfa" * 20}, {"email": "f@" + ".".join(["\ufdfa" * 5] * 10) + ".org"}],
)
def test_identifiers_that_grow_when_folded_are_refused(anonymous, fields):
    assert register(anonymous, **fields).status_code == 400
    assert not User.objects.exists()


def test_what_is_taken_is_told_from_what_it_says(anonymous):
    """PostgreSQL's message holds the value: it must not be read as the error's kind."""
    register(anonymous, username="foreign key")
    response = register(anonymous, email="b@example.org", username="FOREIGN key")
    assert response.json()["code"] == "username_taken"


@pytest.mark.parametrize(
    "email",
    ["a@x\u2028y.org", "a@\ue000x.com", "a@\u200bexample.org", "a@" + "ä" * 60 + ".org",
     "a@\xad.com", '"a\x0bb"@example.org', "a@אa.com"],
)  # fmt: skip
def test_addresses_that_no_mail_reaches_are_refused(anonymous, email):
    answer = register(anonymous, email=email)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "email"
    assert not User.objects.exists()


def test_addresses_in_other_scripts_are_taken(anonymous, mailbox):
    assert register(anonymous, email="doerte@münchen.example").status_code == 201
    mailbox.fetch()
    assert Mail.objects.filter(failed_at=None, user__isnull=False).count() == 1
