import pytest

from accounts.actions import credentials, users
from accounts.models import Session, User
from notes.models import Note
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
ME = "/api/v1/auth/me"


def test_anonymous_is_401_with_a_challenge(anonymous):
    response = anonymous.get(ME)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_patch_changes_what_is_sent(as_alice, alice):
    response = as_alice.patch(ME, {"full_name": "A. Liddell"}, format="json")
    assert response.json()["full_name"] == "A. Liddell"
    assert response.json()["username"] == "alice"
    as_alice.patch(ME, {"username": None}, format="json")
    alice.refresh_from_db()
    assert (alice.username, alice.username_folded) == (None, None)


def test_patch_refuses_a_taken_username(as_alice, bob):
    response = as_alice.patch(ME, {"username": "BOB"}, format="json")
    assert (response.status_code, response.json()["code"]) == (400, "username_taken")


def test_patch_changes_no_server_field(as_alice, alice):
    body = {"id": 5, "email": "x@example.org", "is_staff": True, "password": "another one"}
    as_alice.patch(ME, body, format="json")
    alice.refresh_from_db()
    assert (alice.email, alice.is_staff) == ("alice@example.org", False)
    assert alice.check_password(PASSWORD)


def test_delete_asks_for_the_password(as_alice, alice):
    response = as_alice.delete(ME, {"password": "wrong"}, format="json")
    assert (response.status_code, response.json()["code"]) == (403, "wrong_password")
    assert as_alice.delete(ME).status_code == 400
    assert User.objects.filter(pk=alice.pk).exists()


def test_delete_takes_everything_of_the_account_and_nothing_else(as_alice, alice, bob):
    client_of(alice)
    note = as_alice.post("/api/v1/notes", {"title": "t", "content": "c"}, format="json")
    assert note.status_code == 201
    client_of(bob).post("/api/v1/notes", {"title": "bob's"}, format="json")
    assert as_alice.delete(ME, {"password": PASSWORD}, format="json").status_code == 204
    assert as_alice.get(ME).status_code == 401
    assert list(User.objects.values_list("pk", flat=True)) == [bob.pk]
    assert set(Session.objects.values_list("user_id", flat=True)) == {bob.pk}
    assert set(Note.objects.values_list("owner_id", flat=True)) == {bob.pk}


def test_changing_an_account_that_has_just_gone_is_401(alice):
    stale = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).delete()
    with pytest.raises(credentials.AccountGone):
        users.update_profile(user=stale, changes={"full_name": "x"})
