"""Indexes that are built while the service is running."""

from typing import Any

from django.db import migrations


class AddIndexOnline(migrations.AddIndex):
    """Adds an index, on PostgreSQL without blocking writes (CREATE INDEX CONCURRENTLY).

    For a migration that is not ``atomic``. An invalid index of an interrupted build is rebuilt.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: Any,
        to_state: Any,
    ) -> None:
        connection = schema_editor.connection
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(connection.alias, model):
            return
        is_online = connection.vendor == "postgresql" and not connection.in_atomic_block
        name = schema_editor.quote_name(self.index.name)
        schema_editor.execute(f"DROP INDEX {'CONCURRENTLY' if is_online else ''} IF EXISTS {name}")
        schema_editor.add_index(model, self.index, **({"concurrently": True} if is_online else {}))

    def describe(self) -> str:
        return f"{super().describe()}, while the service goes on"
