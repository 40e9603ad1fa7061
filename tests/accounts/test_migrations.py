"""What migrations make of the accounts that are there."""

import datetime as dt

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import User
from tests.conftest import client_of


def migrate(targets):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def before_more_fields(transactional_db):
    yield migrate([("accounts", "0010_language")])
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())


def test_contacts_of_before_are_whole_and_found(before_more_fields):
    alice = before_more_fields.get_model("accounts", "User").objects.create(
        email="alice@example.org", email_folded="alice@example.org"
    )
    contacts = before_more_fields.get_model("accounts", "Contact").objects
    fields = {"phone": "+1 (555) 010-00", "notes": "n", "uid": "u", "search_text": "mary"}
    born = {"birthday": dt.date(1985, 4, 12), "birthday_key": 412}
    pk = contacts.create(
        owner_id=alice.pk, first_name="Márÿ", last_name="Łoś", email="m@x.org", **fields, **born
    ).pk
    contacts.create(owner_id=alice.pk, first_name="B", uid="b")
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())
    client = client_of(User.objects.get(pk=alice.pk))
    (found,) = client.get("/api/v1/contacts?q=los mary").json()["results"]
    assert (found["id"], found["first_name"], found["notes"]) == (pk, "Márÿ", "n")
    assert (found["birthday"], found["company"], found["addresses"]) == ("1985-04-12", "", [])
    assert client.get("/api/v1/contacts?q=5550100").json()["results"] == [found]
    assert client.get("/api/v1/contacts?q=b&count=true").json()["count"] == 1
