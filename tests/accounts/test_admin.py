"""Users in the admin: found, disabled and enabled, deleted with all they own."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import Session, User
from notes.models import Note
from tests.conftest import PASSWORD, client_of, make_user

pytestmark = pytest.mark.django_db
USERS = reverse("admin:accounts_user_changelist")


@pytest.fixture
def staff(client):
    user = make_user("sam", is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


def act(staff, action, *users):
    body = {"action": action, "_selected_action": [user.pk for user in users], "post": "yes"}
    return staff.post(USERS, body, follow=True)


def test_the_list_has_search_filters_and_counts(staff, alice, bob):
    for number in range(3):
        Note.objects.create(owner=alice, title=str(number))
    client_of(alice), client_of(alice)
    page = staff.get(USERS, {"q": "ALICE@example.org".lower(), "is_active__exact": "1"})
    (row,) = page.context["cl"].result_list
    assert (row.pk, row.notes_owned, row.session_count) == (alice.pk, 3, 2)
    assert bob.email not in page.content.decode()


def test_the_list_costs_the_same_for_many_users(staff, django_assert_max_num_queries):
    for number in range(30):
        make_user(f"user{number}")
    with django_assert_max_num_queries(6):  # session, user, two counts, the list, the user's rights
        staff.get(USERS)


def test_disabling_ends_sessions_at_once_and_enabling_revives_none(staff, alice):
    client = client_of(alice)
    assert client.get("/api/v1/auth/me").status_code == 200
    act(staff, "disable", alice)
    assert client.get("/api/v1/auth/me").status_code == 401
    assert Session.objects.get(user=alice).revoked_reason == "user_disabled"
    act(staff, "enable", alice)
    alice.refresh_from_db()
    assert alice.is_active
    assert client.get("/api/v1/auth/me").status_code == 401
    assert client_of(alice).get("/api/v1/auth/me").status_code == 200


def test_the_checkbox_of_the_form_disables_as_the_action_does(staff, alice):
    client = client_of(alice)
    form = {"email": "Alice@New.example", "username": "", "full_name": "A"}
    url = reverse("admin:accounts_user_change", args=[alice.pk])
    assert staff.post(url, form).status_code == 302
    alice.refresh_from_db()
    assert (alice.email_folded, alice.username_folded) == ("alice@new.example", None)
    assert not alice.is_active
    assert client.get("/api/v1/auth/me").status_code == 401


def test_a_taken_address_is_an_error_in_the_form_not_a_500(staff, alice, bob):
    url = reverse("admin:accounts_user_change", args=[alice.pk])
    for email, username, said in (
        ("BOB@example.org", "alice", "account with this e-mail address"),
        ("alice@example.org", "BOB", "This username is taken"),
        ("alice@example.org", "a@b", "A username cannot hold an @"),
    ):
        form = {"email": email, "username": username, "full_name": "", "is_active": "on"}
        page = staff.post(url, form)
        assert page.status_code == 200
        assert said in page.content.decode()
    alice.refresh_from_db()
    assert (alice.email, alice.username) == ("alice@example.org", "alice")


def test_staff_can_add_a_user_who_can_then_log_in(staff, anonymous):
    form = {"email": "New@Example.org", "username": "", "full_name": "", "usable_password": "true"}
    form |= {"password1": "a long password", "password2": "a long password"}
    assert staff.post(reverse("admin:accounts_user_add"), form).status_code == 302
    body = {"email": "new@example.org", "password": "a long password"}
    assert anonymous.post("/api/v1/auth/login", body, format="json").status_code == 200


def test_nobody_disables_themselves(staff):
    act(staff, "disable", User.objects.get(username="sam"))
    assert User.objects.get(username="sam").is_active


@pytest.mark.parametrize("one", [True, False])
def test_deleting_takes_all_they_own(staff, alice, bob, one):
    for owner in (alice, bob):
        Note.objects.create(owner=owner, title="t")
        client_of(owner)
    if one:
        staff.post(reverse("admin:accounts_user_delete", args=[alice.pk]), {"post": "yes"})
    else:
        act(staff, "delete_selected", alice)
    assert not User.objects.filter(pk=alice.pk).exists()
    assert list(Note.objects.values_list("owner_id", flat=True)) == [bob.pk]
    assert list(Session.objects.values_list("user_id", flat=True)) == [bob.pk]


def test_a_disabled_member_of_staff_is_out_at_once(staff):
    User.objects.filter(username="sam").update(is_active=False)
    assert staff.get(USERS).status_code == 302


def test_sessions_are_shown_and_cannot_be_changed(staff, alice):
    client_of(alice)
    session = Session.objects.get()
    assert staff.get(reverse("admin:accounts_session_changelist")).status_code == 200
    page = staff.get(reverse("admin:accounts_session_change", args=[session.pk]))
    assert session.refresh_id.hex not in page.content.decode()
    assert str(session.refresh_id) not in page.content.decode()
    assert staff.post(
        reverse("admin:accounts_session_change", args=[session.pk]), {"address": "1.1.1.1"}
    ).status_code in (403, 405)


def test_a_password_that_staff_set_ends_the_sessions(staff, alice, anonymous):
    client = client_of(alice)
    url = reverse("admin:auth_user_password_change", args=[alice.pk])
    form = {"password1": "another long one", "password2": "another long one"}
    assert staff.post(url, {**form, "usable_password": "true"}).status_code == 302
    assert client.get("/api/v1/auth/me").status_code == 401
    assert Session.objects.get(user=alice).revoked_reason == "password_changed"
    body = {"username": "alice", "password": "another long one"}
    assert anonymous.post("/api/v1/auth/login", body, format="json").status_code == 200


def test_a_password_from_the_console_ends_the_sessions(alice, monkeypatch):
    client = client_of(alice)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "another long one")
    call_command("changepassword", "ALICE@example.org", stdout=io.StringIO())
    assert client.get("/api/v1/auth/me").status_code == 401


def test_make_admin_with_a_taken_address_says_so(alice):
    with pytest.raises(CommandError, match="already taken"):
        call_command("createsuperuser", email="alice@example.org", interactive=False)


@pytest.mark.parametrize(
    ("email", "username"),
    [("x@example.org", "bob＠example.org"), ("x@example.org", "\ufdfa" * 30)],
)
def test_unfit_identifiers_are_errors_in_the_form(staff, bob, email, username):
    form = {"email": email, "username": username, "full_name": "", "usable_password": "true"}
    form |= {"password1": "a long password", "password2": "a long password"}
    assert staff.post(reverse("admin:accounts_user_add"), form).status_code == 200
    assert not User.objects.filter(email=email).exists()


def test_admin_log_ins_are_security_events(client, staff, caplog):
    caplog.set_level("INFO", "cloudnotes.security")
    for password in ("wrong", PASSWORD):
        form = {"username": "sam@example.org", "password": password}
        client.post(reverse("admin:login"), form)
    events = [record.event for record in caplog.records if hasattr(record, "event")]
    assert events == ["admin_login_refused", "admin_login"]
    assert PASSWORD not in caplog.text
