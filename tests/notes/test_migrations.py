"""What migrations make of the notes that are there."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from notes.models import Change, Feed, Note
from tests.conftest import client_of, make_user

BEFORE_HISTORY = [("notes", "0003_category")]


def migrate(targets):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def before_history(transactional_db):
    yield migrate(BEFORE_HISTORY)
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())


def test_notes_of_before_get_their_place_in_the_feed(before_history):
    alice, bob = make_user("alice"), make_user("bob")
    old = before_history.get_model("notes", "Note")
    ids = [
        old.objects.create(owner_id=owner.pk, title="t", content="c", version=version).pk
        for owner, version in ((alice, 3), (bob, 1), (alice, 7))
    ]
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert dict(Feed.objects.values_list("user", "seq")) == {alice.pk: 2, bob.pk: 1}
    placed = Change.objects.filter(user=alice).order_by("seq").values_list("note", flat=True)
    assert list(placed) == [ids[0], ids[2]]
    note = Note.objects.get(pk=ids[2])
    assert (note.state_version, note.state_by, note.state_given) == (7, alice, True)
    assert note.state_since == note.updated_at
    client = client_of(alice)
    told = client.get("/api/v1/sync").json()["changes"]
    assert [change["note"]["version"] for change in told] == [3, 7]
    url = f"/api/v1/notes/{ids[2]}"
    client.patch(url, {"content": "cc"}, format="json")
    assert client.get(f"{url}/revisions/7").json()["content"] == "c"
    assert client.get("/api/v1/sync").json()["changes"][-1]["seq"] == 3


@pytest.fixture
def before_lists(transactional_db):
    migrate([("notes", "0007_flags")])
    yield
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())


def test_indexes_are_built_while_the_service_goes_on(before_lists):
    """Also after a build that broke off, which leaves an index behind."""
    asked, is_postgresql = [], connection.vendor == "postgresql"

    def note(execute, sql, parameters, many, context):
        asked.append(sql)
        return execute(sql, parameters, many, context)

    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX favorite_notes ON notes_note (id)")
    with connection.execute_wrapper(note):
        migrate([("notes", "0008_lists")])
    built = [sql for sql in asked if sql.startswith("CREATE INDEX")]
    assert len(built) == 4
    assert all("CONCURRENTLY" in sql for sql in built) == is_postgresql
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Note._meta.db_table)
    assert found["favorite_notes"]["columns"][0] == "owner_id"
