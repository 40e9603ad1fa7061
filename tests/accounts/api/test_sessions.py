"""``auth/sessions``: devices, listed and logged out; new ones are told by mail."""

import pytest
from django.utils import timezone

from accounts.models import Session
from tests.conftest import PASSWORD, client_of
from tests.mailserver import text

pytestmark = pytest.mark.django_db
SESSIONS, LOGIN, ME = "/api/v1/auth/sessions", "/api/v1/auth/login", "/api/v1/auth/me"


def test_this_device_is_marked(alice, bob, as_alice, django_assert_num_queries):
    client_of(alice), client_of(bob)
    with django_assert_num_queries(2):  # the caller's session and user, the sessions
        found = as_alice.get(SESSIONS).json()["results"]
    assert set(found[0]) == {
        "id",
        "user_agent",
        "address",
        "created_at",
        "last_seen_at",
        "expires_at",
        "is_current",
    }
    assert [device["is_current"] for device in found] == [False, True]


def test_only_live_ones(alice, as_alice):
    client_of(alice)
    Session.objects.filter(user=alice).order_by("-pk")[:1]
    newest = Session.objects.order_by("-pk").first()
    Session.objects.filter(pk=newest.pk).update(expires_at=timezone.now())
    assert len(as_alice.get(SESSIONS).json()["results"]) == 1


def test_those_of_one_moment_have_an_order(alice, as_alice):
    for _ in range(3):
        client_of(alice)
    Session.objects.update(created_at=timezone.now())
    numbers = [device["id"] for device in as_alice.get(SESSIONS).json()["results"]]
    assert numbers == sorted(numbers, reverse=True)


def test_logging_a_device_out_is_at_once_and_only_that_one(alice, as_alice):
    other = client_of(alice)
    number = next(
        device["id"] for device in other.get(SESSIONS).json()["results"] if device["is_current"]
    )
    assert as_alice.delete(f"{SESSIONS}/{number}").status_code == 204
    assert other.get(ME).status_code == 401
    assert as_alice.get(ME).status_code == 200
    assert as_alice.delete(f"{SESSIONS}/{number}").status_code == 404


def log_in(anonymous, program="Firefox/127.0 (Linux)", address="203.0.113.9"):
    body = {"username": "alice", "password": PASSWORD}
    answer = anonymous.post(
        LOGIN, body, format="json", HTTP_USER_AGENT=program, REMOTE_ADDR=address
    )
    assert answer.status_code == 200


def test_a_new_device_is_told_by_mail_and_a_known_one_is_not(alice, anonymous, mailbox):
    log_in(anonymous)
    assert mailbox.fetch().taken == []  # the first of all
    log_in(anonymous, "Firefox/128.1 (Linux)", "203.0.113.77")
    assert mailbox.fetch().taken == []  # a newer version in the same network
    log_in(anonymous, "curl/8", "203.0.113.9")
    log_in(anonymous, address="198.51.100.1")
    first, second = mailbox.fetch().taken
    assert "curl/8\n203.0.113.9" in text(first)
    assert "198.51.100.1" in text(second)
    log_in(anonymous, "curl/8", "203.0.113.9")
    assert len(mailbox.fetch().taken) == 2


def test_what_a_program_calls_itself_cannot_forge_a_mail(alice, anonymous, mailbox):
    log_in(anonymous)
    log_in(anonymous, "x\r\nBcc: eve@example.org\r\n\r\n{{ mail }} <script>")
    message = mailbox.fetch().last()
    assert message["Bcc"] is None
    assert message["X-Recipient"] == "alice@example.org"
    assert "<script>" not in message.get_body(("html",)).get_content()
    assert "{{ mail }}" in text(message)
