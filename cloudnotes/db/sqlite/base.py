"""Django's backend for SQLite, with table rebuilds that preserve triggers of other tables."""

from typing import Any

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.schema import DatabaseSchemaEditor as SQLiteSchemaEditor


class DatabaseSchemaEditor(SQLiteSchemaEditor):
    """Django's schema editor, which alters a table by creating a new one in its place."""

    def _remake_table(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Rebuild a table; drop the triggers of other tables before and restore them after.

        After the old table is dropped and before the new one is renamed, SQLite refuses to rename
        anything while a trigger names a table that does not exist. The model's own triggers are
        constraints (:class:`cloudnotes.db.triggers.Trigger`) and are created with the new table.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name <> %s",
                [model._meta.db_table],
            )
            triggers = cursor.fetchall()
        for name, _ in triggers:
            self.execute(f"DROP TRIGGER {self.quote_name(name)}", None)
        super()._remake_table(model, *args, **kwargs)  # type: ignore[misc]  # not in the stubs
        for _, sql in triggers:
            self.execute(sql, None)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that uses the schema editor above."""

    SchemaEditorClass = DatabaseSchemaEditor
