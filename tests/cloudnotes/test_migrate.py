"""``migrate`` by several replicas at once, and what it makes of the tables."""

import subprocess
import sys

import pytest
from django.apps import apps
from django.db import connection, models

from accounts.models import User
from notes.models import Change, Note
from tests.servers import ROOT, Server
from tests.waiting import TIMEOUT_SECONDS


def test_replicas_that_start_together_migrate_one_after_the_other(tmp_path, new_database):
    with new_database(tmp_path, is_empty=True) as where:
        server = Server(tmp_path, **where)
        running = [
            subprocess.Popen(
                [sys.executable, "manage.py", "migrate", "--no-input"],
                cwd=ROOT, env=server.environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]  # fmt: skip
        outputs = [process.communicate(timeout=TIMEOUT_SECONDS) for process in running]
        assert [process.returncode for process in running] == [0] * 4, outputs
        applied = ["Applying notes.0001_initial" in out for out, _ in outputs]
        assert sorted(applied) == [False, False, False, True]


@pytest.mark.django_db
def test_every_foreign_key_of_ours_is_kept_by_the_database():
    for label in ("accounts", "notes"):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.concrete_fields:
                if not field.is_relation or field is Change._meta.get_field("note"):
                    continue  # a change outlives its note
                with connection.cursor() as cursor:
                    constraints = connection.introspection.get_constraints(
                        cursor, model._meta.db_table
                    )
                keys = [c for c in constraints.values() if c["columns"] == [field.column]]
                assert any(c["foreign_key"] for c in keys), field


@pytest.mark.django_db(transaction=True)
def test_a_rebuilt_table_keeps_its_cascade(alice):
    """SQLite rebuilds a table to alter it; PostgreSQL alters it. Both keep ON DELETE."""
    column = models.CharField(max_length=5, default="", db_default="")
    column.set_attributes_from_name("probe")
    column.model = Note
    Note.objects.create(owner=alice, title="t")
    with connection.schema_editor() as editor:
        editor.add_field(Note, column)
    with connection.schema_editor() as editor:
        editor.remove_field(Note, column)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_session")
        cursor.execute("DELETE FROM accounts_user")
    assert not User.objects.exists()
    assert not Note.objects.exists()
