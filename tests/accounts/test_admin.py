"""Users in the admin: found, disabled and enabled, deleted with all they own."""

import io

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts.models import Session, User
from notes.models import Note
from tests.conftest import PASSWORD, client_of, make_user

pytestmark = pytest.mark.django_db
USERS = reverse("admin:accounts_user_changelist")


def change_page(user):
    return reverse("admin:accounts_user_change", args=[user.pk])


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
    assert not alice.sessions.filter(revoked_at=None).exists()


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


def test_staff_who_may_change_users_cannot_raise_themselves(client, alice):
    """Nor touch a superuser: not by the form, an action, a password or by deleting."""
    clerk, root = make_user("clerk", is_staff=True), make_user("root", is_superuser=True)
    rights = ("view_user", "change_user", "delete_user")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(clerk)
    before = User.objects.filter(pk=root.pk).values().get()
    form = {"email": clerk.email, "username": "clerk", "full_name": "C", "is_active": "on"}
    form |= {"is_staff": "on", "is_superuser": "on"}
    assert client.post(change_page(clerk), form).status_code == 302
    clerk.refresh_from_db()
    assert (clerk.full_name, clerk.is_superuser, clerk.is_staff) == ("C", False, True)
    assert client.post(change_page(root), {**form, "email": "x@example.org"}).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[root.pk])
    new = {"password1": "a long password", "password2": "a long password"}
    assert client.post(password, new).status_code == 403
    delete = reverse("admin:accounts_user_delete", args=[root.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    for action in ("disable", "take_second_factor", "delete_selected"):
        act(client, action, root, alice)
    assert User.objects.filter(pk=root.pk).values().get() == before
    alice.refresh_from_db()
    assert not alice.is_active


def test_a_changed_address_is_no_longer_confirmed_and_its_owner_is_told(staff, alice, mailbox):
    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    form = {"email": "new@example.org", "username": "alice", "full_name": "", "is_active": "on"}
    staff.post(change_page(alice), form)
    alice.refresh_from_db()
    assert not alice.email_verified
    mailbox.fetch()
    assert "Your e-mail address was changed" in mailbox.server.last("alice@example.org")["Subject"]
    assert "Confirm your e-mail" in mailbox.server.last("new@example.org")["Subject"]


def test_ones_own_password_is_guessed_at_as_often_as_the_limit_allows(staff, settings):
    settings.RATE_LIMITS = True
    form = {"old_password": "wrong", "new_password1": "a long one", "new_password2": "a long one"}
    answers = [staff.post(reverse("admin:password_change"), form) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_nul_in_a_cookie_is_400(client):
    client.cookies.load('sessionid="abc\\000def"')
    answer = client.get(reverse("admin:login"), headers={"Cookie": 'sessionid="abc\\000def"'})
    assert answer.status_code == 400
