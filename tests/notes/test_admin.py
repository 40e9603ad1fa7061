"""Notes in the admin: listed without bodies, read when opened, deleted by our action."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.callers import Caller
from notes.actions import notes as actions
from notes.models import Note
from tests.conftest import make_user

pytestmark = pytest.mark.django_db
NOTES = reverse("admin:notes_note_changelist")


@pytest.fixture
def staff(client):
    client.force_login(make_user("sam", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def note(alice):
    return actions.create_note(
        title="A title", content="THE BODY", by=Caller(alice), now=timezone.now()
    )


def test_the_list_shows_no_bodies_and_does_not_even_load_them(staff, note):
    with CaptureQueriesContext(connection) as queries:
        page = staff.get(NOTES)
    assert "A title" in page.content.decode()
    assert "THE BODY" not in page.content.decode()
    assert ">8<" in page.content.decode()  # characters
    assert not any('"notes_note"."content",' in query["sql"] for query in queries)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "a title"}, True),
        ({"q": "alice@example.org"}, True),
        ({"q": "THE BODY"}, False),
        ({"file": "no"}, True),
        ({"file": "yes"}, False),
    ],
)
def test_search_and_filters(staff, note, query, found):
    assert ("A title" in staff.get(NOTES, query).content.decode()) == found


def test_the_link_from_a_user_lists_their_notes(staff, note, bob):
    Note.objects.create(owner=bob, title="bob's")
    page = staff.get(NOTES, {"owner__id__exact": note.owner_id})
    assert [row.pk for row in page.context["cl"].result_list] == [note.pk]


def test_an_opened_note_is_shown_and_cannot_be_changed(staff, note):
    url = reverse("admin:notes_note_change", args=[note.pk])
    assert "THE BODY" in staff.get(url).content.decode()
    assert staff.post(url, {"title": "x", "content": "x"}).status_code == 403
    assert staff.get(reverse("admin:notes_note_add")).status_code == 403
    note.refresh_from_db()
    assert note.title == "A title"


@pytest.mark.parametrize("one", [True, False])
def test_deleting_goes_through_the_action(staff, note, one, monkeypatch):
    deleted = []
    action = actions.purge_note
    monkeypatch.setattr(
        actions, "purge_note", lambda **given: (deleted.append(given["note"].pk), action(**given))
    )
    if one:
        staff.post(reverse("admin:notes_note_delete", args=[note.pk]), {"post": "yes"})
    else:
        body = {"action": "delete_selected", "_selected_action": [note.pk], "post": "yes"}
        staff.post(NOTES, body)
    assert deleted == [note.pk]
    assert not Note.objects.exists()


def test_staff_without_permission_see_nothing(client, note):
    client.force_login(make_user("tim", is_staff=True))
    assert client.get(NOTES).status_code == 403
    assert client.get(reverse("admin:notes_note_change", args=[note.pk])).status_code == 403
