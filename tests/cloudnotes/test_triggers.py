"""Triggers that models declare: made with their tables, made again with them, and missed."""

import io

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from django.db import connection, models

from cloudnotes import health
from cloudnotes.checks import check_triggers
from cloudnotes.db.triggers import Trigger, declared, get_missing
from cloudnotes.management.commands import migrate
from notes.models import IndexedNote, KeptFile, Revision
from tests.notes.files import add, new_note

pytestmark = pytest.mark.django_db(transaction=True)


def rebuild(model):
    """Add a column and remove it again, for which SQLite makes the table anew."""
    column = models.CharField(max_length=5, default="", db_default="")
    column.set_attributes_from_name("probe")
    column.model = model
    with connection.schema_editor() as editor:
        editor.add_field(model, column)
    with connection.schema_editor() as editor:
        editor.remove_field(model, column)


@pytest.fixture
def without_trigger():
    """Drop the trigger by which history keeps its files, until the test ends."""
    (trigger,) = (each for each in Revision._meta.constraints if isinstance(each, Trigger))
    with connection.schema_editor() as editor:
        editor.execute(trigger.remove_sql(Revision, editor), None)
    health._seen_whole.clear()
    yield
    health._seen_whole.clear()
    call_command("make_triggers", stdout=io.StringIO())


def test_every_rebuilt_table_has_its_triggers():
    models_with_triggers = {model for model, _ in declared("sqlite")}
    assert {Revision, IndexedNote} <= models_with_triggers
    for label in ("accounts", "notes"):  # a trigger may name the table of another model too
        for model in apps.get_app_config(label).get_models():
            rebuild(model)
            assert get_missing(connection) == [], model


def test_after_a_rebuild_history_keeps_its_files_and_search_its_terms(as_alice):
    note_url = new_note(as_alice)
    assert add(as_alice, note_url).status_code == 201
    rebuild(Revision)
    rebuild(IndexedNote)
    edit = {"title": "something else", "content": "of later"}
    assert as_alice.put(note_url, edit, format="json").status_code == 200
    assert as_alice.delete(note_url).status_code == 204
    assert {row.revision.title for row in KeptFile.objects.all()} == {"t", "something else"}
    as_alice.post(f"{note_url}/restore")
    assert len(as_alice.get("/api/v1/search?q=later").json()["results"]) == 1
    assert as_alice.get("/api/v1/search?q=earlier").json()["results"] == []


def test_a_missing_trigger_is_an_error_of_the_checks(without_trigger):
    with pytest.raises(SystemCheckError, match=r"cloudnotes\.E014.*notes_revision_keeps_files"):
        call_command("check", "--database", "default")


def test_a_migration_does_not_end_without_a_trigger(without_trigger, monkeypatch):
    """A database that was yet to be migrated when the checks ran."""
    monkeypatch.setattr(migrate.Command, "check", lambda *_, **__: None)
    with pytest.raises(CommandError, match="notes_revision_keeps_files"):
        call_command("migrate", verbosity=0, skip_checks=False)


def test_a_trigger_that_is_disabled_is_missing_and_made_again(capsys):
    if connection.vendor == "sqlite":
        return  # it knows no disabled triggers
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notes_revision DISABLE TRIGGER notes_revision_keeps_files")
    assert get_missing(connection) == ["notes_revision_keeps_files"]
    call_command("make_triggers")
    assert get_missing(connection) == []


def test_a_command_creates_what_is_missing(without_trigger, capsys):
    call_command("make_triggers")
    assert capsys.readouterr().out == "notes_revision_keeps_files: created\n"
    assert get_missing(connection) == []
    call_command("check", "--database", "default")
    call_command("make_triggers")
    assert capsys.readouterr().out.endswith("No trigger is missing.\n")


def test_a_database_that_lacks_a_trigger_is_not_ready(client, without_trigger):
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "triggers missing"


def test_a_database_that_is_yet_to_be_migrated_lacks_no_trigger(monkeypatch, without_trigger):
    monkeypatch.setattr("cloudnotes.checks.is_migrated", lambda connection: False)
    assert check_triggers(None, databases=["default"]) == []
    monkeypatch.undo()
    assert len(check_triggers(None, databases=["default"])) == 1
