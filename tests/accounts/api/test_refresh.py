import datetime as dt

import pytest
from django.utils import timezone

from accounts import jwt
from accounts.actions import sessions
from accounts.models import Session, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
REFRESH = "/api/v1/auth/refresh"


@pytest.fixture
def session(alice):
    return sessions.open_session(user=alice, user_agent="", address="", now=timezone.now())


def refresh(client, token):
    return client.post(REFRESH, {"refresh_token": token}, format="json")


def age_rotation(session, seconds):
    moment = timezone.now() - dt.timedelta(seconds=seconds)
    Session.objects.filter(pk=session.pk).update(rotated_at=moment)


def test_rotates(session, anonymous):
    first = jwt.refresh_token(session)
    body = refresh(anonymous, first).json()
    assert body["refresh_token"] != first
    assert refresh(anonymous, body["refresh_token"]).status_code == 200


def test_the_oauth2_form(session, anonymous):
    form = f"grant_type=refresh_token&refresh_token={jwt.refresh_token(session)}"
    response = anonymous.post(REFRESH, form, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200


def test_a_lost_answer_may_be_asked_for_again_within_ten_seconds(session, anonymous):
    first = jwt.refresh_token(session)
    answers = {refresh(anonymous, first).json()["refresh_token"] for _ in range(3)}
    assert len(answers) == 1
    assert refresh(anonymous, answers.pop()).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_later_replay_revokes_the_session_and_that_survives_the_401(session, anonymous):
    first = jwt.refresh_token(session)
    second = refresh(anonymous, first).json()
    age_rotation(session, 11)
    assert refresh(anonymous, first).status_code == 401
    session.refresh_from_db()
    assert session.revoked_reason == "refresh_reused"
    assert session.revoked_at is not None
    assert refresh(anonymous, second["refresh_token"]).status_code == 401
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {second['access_token']}")
    assert anonymous.get("/api/v1/auth/me").status_code == 401


def test_a_token_from_before_the_previous_one_revokes_at_any_time(session, anonymous):
    first = jwt.refresh_token(session)
    second = refresh(anonymous, first).json()["refresh_token"]
    refresh(anonymous, second)
    assert refresh(anonymous, first).status_code == 401
    session.refresh_from_db()
    assert session.revoked_reason == "refresh_reused"


def test_no_refresh_for_the_disabled_the_expired_and_the_deleted(session, alice, anonymous):
    token = jwt.refresh_token(session)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert refresh(anonymous, token).status_code == 401
    User.objects.filter(pk=alice.pk).update(is_active=True)
    Session.objects.filter(pk=session.pk).update(expires_at=timezone.now())
    assert refresh(anonymous, token).status_code == 401
    User.objects.filter(pk=alice.pk).delete()
    assert refresh(anonymous, token).status_code == 401


def test_no_refresh_token_lies_in_the_database(session, anonymous):
    token = jwt.refresh_token(session)
    columns = Session.objects.filter(pk=session.pk).values().get()
    assert not any(token in str(value) for value in columns.values())


def test_a_session_ends_absolutely(alice, anonymous):
    now = timezone.now()
    session = sessions.open_session(
        user=alice, user_agent="", address="", now=now - dt.timedelta(days=364, hours=23)
    )
    Session.objects.filter(pk=session.pk).update(rotated_at=now)
    session.refresh_from_db()
    answer = refresh(anonymous, jwt.refresh_token(session)).json()
    Session.objects.filter(pk=session.pk).update(expires_at=now)
    assert refresh(anonymous, answer["refresh_token"]).status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["logout", "logout-all"])
def test_logout_ends_sessions_at_once(alice, anonymous, path):
    body = {"username": "alice", "password": PASSWORD}
    here, there = (anonymous.post("/api/v1/auth/login", body, format="json").json() for _ in "ab")
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {here['access_token']}")
    assert anonymous.post(f"/api/v1/auth/{path}").status_code == 204
    assert anonymous.get("/api/v1/auth/me").status_code == 401
    assert refresh(anonymous, here["refresh_token"]).status_code == 401
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {there['access_token']}")
    assert anonymous.get("/api/v1/auth/me").status_code == (200 if path == "logout" else 401)
