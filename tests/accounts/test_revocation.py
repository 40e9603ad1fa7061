"""What ends which credential: every cell is written down, and holds on the very next request."""

import datetime as dt
import io

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import email_tokens, jwt
from accounts.actions import mails, sessions, tokens
from accounts.models import Mail, PersonalAccessToken, Session, User
from tests.conftest import PASSWORD, client_of, make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"
NEW = "another long one"

CREDENTIALS = ("access", "refresh", "other access", "other refresh", "token", "link", "admin")
DEAD, LIVE = False, True
# After the event: this device's access and refresh token, another device's, a personal access
# token, a link to reset the password, and the session in the admin.
MATRIX = {
    "nothing": (LIVE, LIVE, LIVE, LIVE, LIVE, LIVE, LIVE),
    "logout": (DEAD, DEAD, LIVE, LIVE, LIVE, LIVE, LIVE),
    "logout of the other device": (LIVE, LIVE, DEAD, DEAD, LIVE, LIVE, LIVE),
    "logout everywhere": (DEAD, DEAD, DEAD, DEAD, LIVE, LIVE, DEAD),
    "refresh token reused": (DEAD, DEAD, LIVE, LIVE, LIVE, LIVE, LIVE),
    "session expired": (DEAD, DEAD, LIVE, LIVE, LIVE, LIVE, LIVE),
    "token deleted": (LIVE, LIVE, LIVE, LIVE, DEAD, LIVE, LIVE),
    "token deleted by staff": (LIVE, LIVE, LIVE, LIVE, DEAD, LIVE, LIVE),
    "token expired": (LIVE, LIVE, LIVE, LIVE, DEAD, LIVE, LIVE),
    "password changed": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "password reset": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "password changed in the admin": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, LIVE),
    "password set by staff": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "password set from the console": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "e-mail address changed": (LIVE, LIVE, LIVE, LIVE, LIVE, DEAD, LIVE),
    "e-mail address changed by staff": (LIVE, LIVE, LIVE, LIVE, LIVE, DEAD, LIVE),
    "disabled by staff": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "disabled and enabled": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, LIVE),
    "rights taken": (LIVE, LIVE, LIVE, LIVE, LIVE, LIVE, DEAD),
    "deleted": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
    "deleted by staff": (DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, DEAD),
}


def a_link(user, kind):
    mails.enqueue(kind=kind, user=user, address="new@example.org", now=timezone.now())
    mail = Mail.objects.latest("pk")
    valid_until = timezone.now() + dt.timedelta(minutes=60)
    Mail.objects.filter(pk=mail.pk).update(sent_at=timezone.now(), valid_until=valid_until)
    return email_tokens.token(mail)


class World:
    """Alice, who is staff, with all her credentials, and what can happen to her."""

    def __init__(self):
        now = timezone.now()
        self.alice = make_user("alice", is_staff=True, is_superuser=True)
        self.root = Client()
        self.root.force_login(make_user("root", is_staff=True, is_superuser=True))
        self.session, self.other = (
            sessions.open_session(user=self.alice, user_agent="", address="", now=now)
            for _ in range(2)
        )
        self.row, self.token = tokens.create_token(
            user=self.alice, password=PASSWORD, name="t", scopes=["notes:read"], category="",
            expires_at=None, now=now,
        )  # fmt: skip
        self.link = a_link(self.alice, Mail.Kind.RESET_PASSWORD)
        self.access = [jwt.access_token(one, now) for one in (self.session, self.other)]
        self.refresh = [jwt.refresh_token(one) for one in (self.session, self.other)]
        self.admin = Client()
        self.admin.force_login(self.alice)
        self.client = client_of(None)
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.access[0]}")

    def post(self, path, **body):
        return self.client.post(f"{API}/{path}", body, format="json")

    def by_staff(self, name, form, *arguments):
        answer = self.root.post(reverse(f"admin:{name}", args=arguments), form)
        assert answer.status_code == 302, answer.content

    def happens(self, event):
        alice, action = self.alice, "accounts_user_changelist"
        chosen = {"_selected_action": [alice.pk], "post": "yes"}
        match event:
            case "logout":
                self.post("auth/logout")
            case "logout of the other device":
                self.client.delete(f"{API}/auth/sessions/{self.other.pk}")
            case "logout everywhere":
                self.post("auth/logout-all")
            case "refresh token reused":
                sessions.refresh(token=self.refresh[0], now=timezone.now())
                later = timezone.now() + dt.timedelta(seconds=11)
                with pytest.raises(sessions.RefreshRefused):
                    sessions.refresh(token=self.refresh[0], now=later)
            case "session expired":
                Session.objects.filter(pk=self.session.pk).update(expires_at=timezone.now())
            case "token deleted":
                self.client.delete(f"{API}/auth/tokens/{self.row.pk}")
            case "token deleted by staff":
                name = "accounts_personalaccesstoken_delete"
                self.by_staff(name, {"post": "yes"}, self.row.pk)
            case "token expired":
                PersonalAccessToken.objects.update(expires_at=timezone.now())
            case "password changed":
                self.post("auth/password/change", password=PASSWORD, new_password=NEW)
            case "password reset":
                link = a_link(alice, Mail.Kind.RESET_PASSWORD)
                self.post("auth/password/reset", token=link, password=NEW)
            case "password changed in the admin":
                form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
                answer = self.admin.post(reverse("admin:password_change"), form)
                assert answer.status_code == 302
            case "password set by staff":
                form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
                self.by_staff("auth_user_password_change", form, alice.pk)
            case "password set from the console":
                call_command("changepassword", alice.email, stdout=io.StringIO())
            case "e-mail address changed":
                self.post("auth/email/verify", token=a_link(alice, Mail.Kind.CHANGE_EMAIL))
            case "e-mail address changed by staff" | "rights taken":
                form = {"email": alice.email, "username": "alice", "full_name": "", "is_active": 1}
                if event.startswith("e-mail"):
                    form |= {"email": "new@example.org", "is_staff": 1, "is_superuser": 1}
                self.by_staff("accounts_user_change", form, alice.pk)
            case "disabled by staff":
                self.by_staff(action, {"action": "disable", **chosen})
            case "disabled and enabled":
                self.by_staff(action, {"action": "disable", **chosen})
                self.by_staff(action, {"action": "enable", **chosen})
            case "deleted":
                body = {"password": PASSWORD}
                self.client.delete(f"{API}/auth/me", body, format="json")
            case "deleted by staff":
                self.by_staff(action, {"action": "delete_selected", **chosen})

    def living(self):
        """Return by credential whether it still lets anybody do anything."""
        found = {}
        for name, access in zip(("access", "other access"), self.access, strict=True):
            found[name] = self._opens("notes", access)
        found["token"] = self._opens("notes", self.token)
        found["admin"] = self.admin.get(reverse("admin:index")).status_code == 200
        anonymous = client_of(None)
        for name, refresh in zip(("refresh", "other refresh"), self.refresh, strict=True):
            answer = anonymous.post(
                f"{API}/auth/refresh", {"refresh_token": refresh}, format="json"
            )
            assert answer.status_code in (200, 401)
            found[name] = answer.status_code == 200
        answer = anonymous.post(
            f"{API}/auth/password/reset", {"token": self.link, "password": NEW}, format="json"
        )
        assert answer.status_code in (204, 400)
        found["link"] = answer.status_code == 204
        return found

    def _opens(self, path, token):
        client = client_of(None)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        answer = client.get(f"{API}/{path}")
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


@pytest.mark.parametrize("event", MATRIX)
def test_the_matrix(event, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: NEW)
    world = World()
    world.happens(event)
    assert world.living() == dict(zip(CREDENTIALS, MATRIX[event], strict=True))
    if event.startswith("deleted"):
        assert not User.objects.filter(pk=world.alice.pk).exists()
