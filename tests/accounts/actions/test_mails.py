"""The queue: nothing lost, nothing twice, nothing secret in it."""

import datetime as dt
import json
import secrets
from unittest.mock import Mock

import pytest
import requests
from django.core import serializers
from django.db import OperationalError
from django.urls import reverse
from django.utils import timezone

from accounts import email_tokens, emails
from accounts.actions import mails
from accounts.models import Mail
from accounts.models.mails import MailQuerySet
from tests.conftest import PASSWORD, make_user
from tests.mailserver import MailServer, code, text, token
from tests.servers import Server
from tests.waiting import TIMEOUT_SECONDS, until

pytestmark = pytest.mark.django_db


def enqueue(user, kind=Mail.Kind.PASSWORD_CHANGED, **fields):
    mails.enqueue(kind=kind, user=user, now=timezone.now(), **fields)
    return Mail.objects.latest("pk")


@pytest.mark.parametrize("kind", Mail.Kind)
def test_every_kind_has_a_subject_a_text_and_a_page(alice, mailbox, kind):
    details = {"user_agent": "<b>curl</b>", "address": "203.0.113.9", "email": "n@example.org"}
    enqueue(alice, kind, details={**details, "state": "on"})
    message = mailbox.fetch().last()
    assert message["X-Recipient"] == message["To"] == "alice@example.org"
    assert message["Subject"].endswith(" · CloudNotes")
    assert message["Auto-Submitted"] == "auto-generated"
    html = message.get_body(("html",)).get_content()
    assert "<b>curl" not in html
    for body in (html, text(message)):
        assert "{{" not in body
        assert "{%" not in body
        if kind in emails.PAGES:
            assert "http://127.0.0.1:8000/account/" in body
            assert token(message) in body
    assert Mail.objects.get().sent_at is not None


def test_a_link_begins_with_the_public_address_whatever_the_host(
    alice, anonymous, mailbox, settings
):
    settings.PUBLIC_BASE_URL = "https://notes.example.org"
    settings.ALLOWED_HOSTS = ["evil.example"]
    body = {"email": "alice@example.org"}
    anonymous.post("/api/v1/auth/password/forgot", body, format="json", HTTP_HOST="evil.example")
    said = text(mailbox.fetch().last())
    assert "https://notes.example.org/account/reset-password#" in said
    assert "evil" not in said


def test_a_server_that_is_down_is_asked_again_and_gets_the_mail_once(alice, mailbox):
    mailbox.server.stop()
    mail, before = enqueue(alice), timezone.now()
    assert mails.send_due() is False
    mail.refresh_from_db()
    assert (mail.attempts, mail.sent_at, mail.failed_at) == (1, None, None)
    earliest, latest = dt.timedelta(seconds=3), dt.timedelta(seconds=7)
    assert before + earliest < mail.due_at < timezone.now() + latest
    Mail.objects.update(due_at=timezone.now() + dt.timedelta(hours=1))  # whatever a start takes
    mailbox.server.start()
    assert mailbox.fetch().taken == []  # not due yet
    Mail.objects.update(due_at=timezone.now())
    assert len(mailbox.fetch().taken) == 1
    assert len(mailbox.fetch().taken) == 1


@pytest.mark.parametrize(
    ("reply", "is_final"),
    [("451 later", False), ("421 closing", False), ("550 no such user", True), ("554 no", True)],
)
def test_what_a_server_refuses_for_good_is_given_up(alice, mailbox, reply, is_final):
    mailbox.server.reply = reply
    mail = enqueue(alice)
    mailbox.fetch()
    mail.refresh_from_db()
    assert bool(mail.failed_at) is is_final
    assert mail.sent_at is None


def test_after_a_day_it_is_given_up(alice, mailbox):
    mailbox.server.stop()
    mail = enqueue(alice)
    Mail.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    mailbox.fetch()
    mail.refresh_from_db()
    assert mail.failed_at is not None


def test_a_worker_killed_with_a_mail_in_its_hands_leaves_it_to_the_next(alice, mailbox):
    enqueue(alice)
    taken = mails._claim(timezone.now())
    assert mails.send_due() is False  # it is taken
    Mail.objects.filter(pk=taken.pk).update(due_at=timezone.now())  # the lease is over
    assert len(mailbox.fetch().taken) == 1


def test_every_attempt_has_the_same_message_id_and_the_newest_token_counts(alice, mailbox):
    mail = enqueue(alice, Mail.Kind.RESET_PASSWORD)
    for _ in range(2):
        Mail.objects.update(sent_at=None, due_at=timezone.now())
        mailbox.fetch()
    first, second = mailbox.server.taken
    assert first["Message-ID"] == second["Message-ID"]
    mail.refresh_from_db()
    assert token(first) != token(second) == email_tokens.token(mail)


def test_a_database_that_goes_away_after_sending_does_not_send_it_twice(
    alice, mailbox, monkeypatch
):
    enqueue(alice)
    update, failures = MailQuerySet.update, iter([True, True])

    def failing(self, **fields):
        if "sent_at" in fields and next(failures, False):
            raise OperationalError("gone")
        return update(self, **fields)

    monkeypatch.setattr(MailQuerySet, "update", failing)
    monkeypatch.setattr("accounts.actions.mails.connection", Mock())
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert len(mailbox.fetch().taken) == 1
    assert Mail.objects.get().sent_at is not None


def test_a_restored_database_gives_other_tokens_to_the_same_ids(alice):
    mail = enqueue(alice, Mail.Kind.RESET_PASSWORD)
    before = email_tokens.token(mail), email_tokens.code(mail)
    mail.created_at += dt.timedelta(microseconds=1)
    assert email_tokens.token(mail) != before[0]
    assert email_tokens.code(mail) != before[1]


def test_tokens_outlive_a_change_of_the_key(alice, settings):
    mail = enqueue(alice, Mail.Kind.RESET_PASSWORD)
    given = email_tokens.token(mail)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = secrets.token_hex(32)
    assert email_tokens.is_token(mail, given)
    settings.SECRET_KEY_FALLBACKS = []
    assert not email_tokens.is_token(mail, given)


def test_neither_token_nor_code_is_in_the_database_or_the_log(alice, mailbox, caplog):
    caplog.set_level("DEBUG")
    caplog.set_level("ERROR", "mail.log")  # the mail server's own
    enqueue(alice, Mail.Kind.VERIFY_EMAIL)
    message = mailbox.fetch().last()
    dump = serializers.serialize("json", Mail.objects.all())
    for secret in (token(message).partition(".")[2], code(message)):
        assert secret not in dump
        assert secret not in caplog.text


def test_strangers_cause_five_mails_an_hour_at_most(alice, mailbox):
    for _ in range(8):
        enqueue(alice, Mail.Kind.RESET_PASSWORD)
    assert len(mailbox.fetch().taken) == 5
    assert Mail.objects.count() == 5


def test_an_empty_queue_is_looked_at_without_a_lock(django_assert_num_queries):
    with django_assert_num_queries(1):
        mails.send_due()


def test_without_a_mail_server_mails_wait(alice, settings):
    settings.EMAIL_IS_ON = False
    enqueue(alice)
    assert mails.send_due() is False
    assert Mail.objects.waiting().count() == 1


def test_old_mails_are_forgotten(alice):
    for days in (29, 31):
        mail = enqueue(alice)
        Mail.objects.filter(pk=mail.pk).update(created_at=timezone.now() - dt.timedelta(days=days))
    mails.forget_old()
    assert Mail.objects.count() == 1


@pytest.mark.parametrize("by", ["web", "worker"])
def test_a_mail_server_stopped_and_started_gets_each_mail_once(tmp_path, by, new_database):
    """Two web processes with the worker in both, or two workers beside them."""
    mail_server = MailServer()
    number = 12
    with new_database(tmp_path) as where:
        running = Server(
            tmp_path, **where,
            EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}", RUN_WORKER=str(int(by == "web")),
        )  # fmt: skip
        running.start()
        workers = [running.popen("worker") for _ in range(2)] if by == "worker" else []

        def begun():
            return running.log.read_text().count("worker started")

        try:
            expected = set()
            for count in range(number):
                if count in (4, 8):
                    mail_server.start() if mail_server.controller is None else mail_server.stop()
                body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
                answer = requests.post(f"{running.api}/auth/register", json=body, timeout=60)
                assert answer.status_code == 201
                expected.add(body["email"])
            if mail_server.controller is None:
                mail_server.start()
            until(lambda: len(mail_server.taken) >= number, f"{number} mails")
            # One that has not begun yet would be ended by the signal and not by itself.
            until(lambda: begun() >= len(workers), "workers that have begun")
            taken = [message["X-Recipient"] for message in mail_server.taken]
            assert sorted(taken) == sorted(expected)
        finally:
            for worker in workers:
                worker.terminate()
            statuses = [worker.wait(timeout=TIMEOUT_SECONDS) for worker in workers]
            running.stop()
            mail_server.stop()
    assert statuses == [0] * len(workers)
    assert sorted(m["X-Recipient"] for m in mail_server.taken) == sorted(expected)


def test_details_are_plain_json(alice):
    mail = enqueue(alice, details={"user_agent": "x"})
    assert json.loads(json.dumps(mail.details)) == {"user_agent": "x"}


def test_an_address_that_no_header_can_hold_is_given_up(alice, mailbox):
    enqueue(alice, address="a@x.org\nBcc: eve@example.org")
    mailbox.fetch()
    assert mailbox.server.taken == []
    assert Mail.objects.get().failed_at is not None


def test_staff_can_have_a_mail_sent_again(alice, client, mailbox):
    client.force_login(make_user("sam", is_staff=True, is_superuser=True))
    mail = enqueue(alice, Mail.Kind.RESET_PASSWORD)
    Mail.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert mailbox.fetch().taken == []
    page = client.get(reverse("admin:accounts_mail_changelist"), {"q": "alice"})
    assert "reset_password" in page.content.decode().casefold().replace(" ", "_")
    body = {"action": "send_again", "_selected_action": [mail.pk]}
    client.post(reverse("admin:accounts_mail_changelist"), body)
    assert len(mailbox.fetch().taken) == 1
