"""Deleting an account leaves nothing: every table and the bucket are looked through."""

import hashlib
import io

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session as AdminSession
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts.actions import contacts, mails, second_factors, tokens, users
from accounts.callers import Caller
from accounts.models import Mail, User
from notes.actions import attachments, imports, uploads
from notes.actions import notes as note_actions
from notes.models import KeptFile, StoredObject, Upload
from tests.conftest import PASSWORD, client_of, make_user
from tests.notes.files import stored

pytestmark = pytest.mark.django_db


def picture():
    written = io.BytesIO()
    Image.new("RGB", (600, 600), "red").save(written, "PNG")
    return SimpleUploadedFile("me.png", written.getvalue(), content_type="image/png")


def settle(name):
    """Return a user who has a row in every table that can hold one."""
    user, now = make_user(name, is_staff=True, is_superuser=True), timezone.now()
    client = client_of(user)
    client.get("/api/v1/auth/me")
    client.post("/api/v1/notes", {"title": f"{name} key"}, HTTP_IDEMPOTENCY_KEY=name, format="json")
    note = note_actions.create_note(
        title=f"{name} title", content=f"{name} text", tags=name, by=Caller(user), now=now
    )
    note_actions.update_note(
        note=note, changes={"title": f"{name} renamed"}, by=Caller(user), now=now
    )
    for text in (f"{name} file", f"{name} other"):
        row = stored(text.encode())
        about = {"note": note, "name": f"{name}.txt", "by": Caller(user), "now": now}
        attachments.store_main_file(**about, stored=row)
    uploads.begin(**about, size=1, sha256=hashlib.sha256(name.encode()).hexdigest())
    imports.import_item(owner=user, source=f"{name} 1", title=name, content=name, created_at=now)
    contacts.create_contact(owner=user, fields={"first_name": f"{name}s friend"}, now=now)
    tokens.create_token(
        user=user, password=PASSWORD, name=f"{name} cli", scopes=["notes:read"], category=name,
        expires_at=None, now=now,
    )  # fmt: skip
    second_factors.begin(user=user, password=PASSWORD, now=now)
    mails.enqueue(kind=Mail.Kind.NEW_DEVICE, user=user, now=now, details={"user_agent": name})
    assert client.put("/api/v1/auth/me/avatar", {"avatar": picture()}, format="multipart").data
    Client().force_login(user)
    for about in (user, note):
        LogEntry.objects.log_actions(user.pk, [about], CHANGE, single_object=True)
    return user, client


def rows():
    """Yield every row of every table as a dict, admin sessions with their user."""
    for model in apps.get_models(include_auto_created=True):
        for row in model._default_manager.values():
            if model is AdminSession:
                row = {"user_id": int(AdminSession(**row).get_decoded()[SESSION_KEY])}
            yield model, row


def traces(user, name):
    """Return what any table holds of a user: their id, or their name in any text."""
    found = []
    for model, row in rows():
        for column, value in row.items():
            names = model is not User and column in ("user_id", "owner_id", "by_id", "state_by_id")
            if (names and value == user.pk) or name in str(value).casefold():
                found.append((model._meta.label, column))
    return found


@pytest.mark.parametrize("way", ["themselves", "staff"])
def test_nothing_is_left(stored_keys, django_capture_on_commit_callbacks, way):
    # Long names: three letters also turn up by chance in a random key or an encrypted answer.
    (alice, client), (bob, _) = settle("alice_liddell"), settle("bob_cratchit")
    root = make_user("root", is_staff=True, is_superuser=True)
    LogEntry.objects.log_actions(root.pk, [alice, bob], CHANGE)
    tables = {label for label, _ in traces(alice, "alice_liddell")}
    assert tables >= {
        "accounts.User", "accounts.Session", "accounts.Mail", "accounts.Contact",
        "accounts.PersonalAccessToken", "accounts.SecondFactor", "accounts.Avatar",
        "accounts.IdempotencyKey",
        "notes.Note", "notes.StoredObject", "notes.Upload", "notes.ImportedItem",
        "notes.Tagging",
        "notes.Revision", "notes.Feed", "notes.Change",
        "admin.LogEntry", "sessions.Session",
    }  # fmt: skip
    of_bob = sorted(traces(bob, "bob_cratchit"))
    with django_capture_on_commit_callbacks(execute=True):
        if way == "themselves":
            body = {"password": PASSWORD}
            assert client.delete("/api/v1/auth/me", body, format="json").status_code == 204
        else:
            users.delete(user=User.objects.get(pk=alice.pk), by=root)  # it forgets its number
    assert traces(alice, "alice_liddell") == []
    assert sorted(traces(bob, "bob_cratchit")) == of_bob
    stored = StoredObject.objects.filter(state="ready").values_list("key", flat=True)
    assert stored_keys() == set(stored)
    assert len(stored_keys()) == 5  # bob's file, the one before it, his picture in three sizes
    assert Upload.objects.count() == KeptFile.objects.count() == 1


def test_it_asks_for_the_password(alice, as_alice):
    answer = as_alice.delete("/api/v1/auth/me", {"password": "wrong"}, format="json")
    assert answer.status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()
