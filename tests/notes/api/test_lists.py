"""Which notes a list holds, in which order, and how much of each."""

import datetime as dt
import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.callers import Caller
from cloudnotes.api import cursors
from notes.actions import notes as actions
from notes.models import Note, attachments

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
ORDERS = ("-updated", "updated", "-created", "created", "title", "-title")
BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def make(alice, title, **fields):
    note = actions.create_note(title=title, content=f"# {title}", by=Caller(alice), now=BEGAN)
    Note.objects.filter(pk=note.pk).update(state_given=True, **fields)
    return Note.objects.get(pk=note.pk)


@pytest.fixture
def notes(alice, bob):
    """Notes of all kinds; each is in one place of every order."""
    made = [
        make(alice, "banana", category="Work", created_at=BEGAN + 5 * DAY),
        make(alice, "Apple", category="Work/Plans", is_favorite=True),
        make(alice, "apple", category="Workshop", is_archived=True),
        make(alice, "Cherry", is_favorite=True, is_archived=True, updated_at=BEGAN + 9 * DAY),
        make(alice, "", category="work"),
        make(alice, "apple", updated_at=BEGAN + 3 * DAY, created_at=BEGAN + 3 * DAY),
    ]
    Note.objects.filter(pk=made[0].pk).update(
        files=attachments.join([attachments.File(1, 1, "f.txt", 1, "text/plain", "0")])
    )
    make(alice, "in the trash", trashed_at=timezone.now(), is_favorite=True)
    make(bob, "not yours", is_favorite=True)
    return made


def listed(client, query=""):
    """Return the slots in ``notes`` of what a list holds."""
    answer = client.get(f"{NOTES}?{query}")
    assert answer.status_code == 200, answer.content
    first = Note.objects.order_by("pk").first().pk
    return [note["id"] - first for note in answer.json()["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {0, 1, 2, 3, 4, 5}),
        ("category=Work", {0, 1}),
        ("category=Work&subtree=false", {0}),
        ("category=Work/Plans/", {1}),
        ("category=", {3, 5}),
        ("category=&subtree=false", {3, 5}),
        ("category=Nothing", set()),
        ("favorite=true", {1, 3}),
        ("favorite=false", {0, 2, 4, 5}),
        ("archived=true", {2, 3}),
        ("archived=false", {0, 1, 4, 5}),
        ("favorite=true&archived=false", {1}),
        ("has_file=true", {0}),
        ("has_file=false", {1, 2, 3, 4, 5}),
        ("created_after=2026-01-01T00:00:00Z", {0, 5}),
        ("created_before=2026-01-04T00:00:00Z", {1, 2, 3, 4}),
        ("created_after=2026-01-02T00:00:00Z&created_before=2026-01-05T00:00:00%2B01:00", {5}),
        ("updated_after=2026-01-04T00:00:00Z", {3}),
        ("updated_before=2026-01-04T00:00:00Z", {0, 1, 2, 4}),
        ("trashed=true", {6}),
        ("trashed=true&favorite=true", {6}),
        ("trashed=true&favorite=false", set()),
    ],
)
def test_filters(as_alice, notes, query, expected):
    assert set(listed(as_alice, query)) == expected
    assert as_alice.get(f"{NOTES}?{query}&count=true").json()["count"] == len(expected)


def test_orders(as_alice, notes):
    assert listed(as_alice, "order=title") == [4, 1, 2, 5, 0, 3]
    assert listed(as_alice, "order=updated") == [0, 1, 2, 4, 5, 3]
    assert listed(as_alice, "order=created") == [1, 2, 3, 4, 5, 0]
    assert listed(as_alice) == listed(as_alice, "order=-updated")
    for name in ("title", "updated", "created"):
        assert listed(as_alice, f"order=-{name}") == listed(as_alice, f"order={name}")[::-1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("query", ["", "&archived=false", "&category=Work"])
def test_pages_of_every_order(as_alice, notes, order, query):
    whole, pages, cursor = listed(as_alice, f"order={order}{query}"), [], ""
    while cursor is not None:
        page = as_alice.get(f"{NOTES}?order={order}{query}&limit=1{cursor}").json()
        pages += [note["id"] - notes[0].pk for note in page["results"]]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert pages == whole


def test_a_cursor_is_of_its_order(as_alice, notes):
    made = {
        order: as_alice.get(f"{NOTES}?order={order}&limit=1").json()["next"] for order in ORDERS
    }
    for order, other in itertools.permutations(ORDERS, 2):
        answer = as_alice.get(f"{NOTES}?order={order}&cursor={made[other]}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"] == "invalid_cursor"


def test_a_cursor_tells_nobody_a_title(as_alice, as_carol, alice):
    for title in ("secret", "secret too"):
        make(alice, title)
    first, again = (as_alice.get(f"{NOTES}?order=title&limit=1").json()["next"] for _ in range(2))
    assert first == again  # the same page is the same bytes
    scope = [f"user {alice.pk}", "title"]
    assert cursors.read(first, "title_key", scope) == ("secret", Note.objects.first().pk)
    assert as_carol.get(f"{NOTES}?order=title&cursor={first}").status_code == 400
    assert b"secret" not in cursors.base64.urlsafe_b64decode(f"{first}==")


@pytest.mark.parametrize("heavy", ["content", "file"])
def test_light_lists(as_alice, notes, heavy):
    whole = as_alice.get(NOTES).json()["results"]
    light = as_alice.get(f"{NOTES}?exclude={heavy}").json()["results"]
    assert light == [{k: v for k, v in note.items() if k != heavy} for note in whole]
    few = as_alice.get(f"{NOTES}?fields=id,title,{heavy}").json()["results"]
    assert few == [{k: note[k] for k in ("id", "title", heavy)} for note in whole]


def test_a_light_list_reads_no_content(as_alice, notes, django_assert_num_queries):
    with django_assert_num_queries(3) as queries:  # session; mark of the feed; page
        as_alice.get(f"{NOTES}?fields=id,title")
    assert '"content"' not in queries.captured_queries[-1]["sql"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=title", "sort"),
        ("Category=Work", "Category"),
        ("order=size", "order"),
        ("favorite=perhaps", "favorite"),
        ("created_after=yesterday", "created_after"),
        ("fields=id,secret", "fields"),
        ("fields=", "fields"),
        ("exclude=owner", "exclude"),
        ("fields=id&exclude=title", "exclude"),
        ("category=%01", "category"),
        ("as_of=2026-01-01T00:00:00Z&favorite=true", "as_of"),
        ("as_of=2026-01-01T00:00:00Z&order=title", "as_of"),
    ],
)
def test_what_is_no_list(as_alice, notes, query, field):
    answer = as_alice.get(f"{NOTES}?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_tag_is_of_what_was_asked_for(as_alice, notes):
    tags = {
        as_alice.get(f"{NOTES}?{query}").headers["ETag"]
        for query in ("", "order=title", "favorite=true", "fields=id")
    }
    assert len(tags) == 4
    for tag in tags:
        again = [
            as_alice.get(f"{NOTES}?{query}", HTTP_IF_NONE_MATCH=tag).status_code
            for query in ("", "order=title", "favorite=true", "fields=id")
        ]
        assert sorted(again) == [200, 200, 200, 304]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("order=-updated", "notes_by_recent_edit"),
        ("order=updated", "notes_by_recent_edit"),
        ("order=-created", "notes_by_creation"),
        ("order=created", "notes_by_creation"),
        ("order=title", "notes_by_title"),
        ("order=-title", "notes_by_title"),
        ("category=Work 3&subtree=false", "notes_by_category"),
        ("category=Work 3", "notes_by_category"),
        ("favorite=true", "favorite_notes"),
        ("archived=true", "archived_notes"),
    ],
)
def test_each_order_has_its_index(as_alice, alice, bob, query, index):
    """With enough notes for a database to look for one."""
    Note.objects.bulk_create(
        Note(
            owner=owner, title=f"{number % 97} {number}", category=f"Work {number % 40}",
            is_favorite=number % 50 == 0, is_archived=number % 60 == 0, state_given=True,
            created_at=BEGAN + number * DAY, updated_at=BEGAN + number * DAY,
        )
        for number, owner in itertools.product(range(3000), (alice, bob))
    )  # fmt: skip
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as asked:
            assert as_alice.get(f"{NOTES}?{query}&fields=id").json()["results"]
        statement = asked.captured_queries[-1]["sql"]
        cursor.execute(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {statement}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert index in plan
    if query != "category=Work 3":  # a few ranges of the index, to be brought into order
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan
