"""Database triggers that are declared on their model, like constraints."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table

SQLITE = """
CREATE TRIGGER {name} {event} ON %(table)s {when}
BEGIN
{body}
END
"""
POSTGRESQL = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{body}
RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS {name} ON %(table)s;
CREATE TRIGGER {name} {event} ON %(table)s FOR EACH ROW {when} EXECUTE FUNCTION {name}();
"""
EXISTING = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND tgenabled <> 'D' AND pg_table_is_visible(pg_class.oid)",
}


class Trigger(models.BaseConstraint):
    """``CREATE TRIGGER name event ON table FOR EACH ROW``, listed in ``Meta.constraints``.

    Django alters a table on SQLite by creating a new one and dropping the old one, which also drops
    its triggers. Django recreates the constraints of a model with its table, so this one survives.

    ``event`` is for example ``AFTER INSERT``, never BEFORE; ``condition`` is on ``NEW`` and
    ``OLD``, '' for none. ``sqlite`` and ``postgresql`` are the statements of the body, each ended
    by a semicolon; a database whose body is '' has no such trigger. On PostgreSQL the function has
    the trigger's name.
    """

    def __init__(
        self,
        *,
        name: str,
        event: str,
        condition: str = "",
        sqlite: str = "",
        postgresql: str = "",
        violation_error_code: str | None = None,
        violation_error_message: str | None = None,
    ) -> None:
        if not event.startswith("AFTER "):
            raise ValueError("The function of a trigger returns NULL, which drops a row BEFORE.")
        self.event, self.condition = event, condition
        self.sqlite, self.postgresql = sqlite, postgresql
        super().__init__(
            name=name,
            violation_error_code=violation_error_code,
            violation_error_message=violation_error_message,
        )

    def body(self, vendor: str) -> str:
        """Return the statements for a database, '' if it has no such trigger."""
        return self.sqlite if vendor == "sqlite" else self.postgresql

    def constraint_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        """Return '': CREATE TABLE contains no trigger; it is created after the table."""
        assert schema_editor is not None
        if statement := self.create_sql(model, schema_editor):
            schema_editor.deferred_sql.append(statement)
        return ""

    # Django's stubs require a str, its schema editors accept a Statement too.
    def create_sql(  # type: ignore[override]
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> Statement | None:
        assert model is not None
        assert schema_editor is not None
        vendor = schema_editor.connection.vendor
        if not self.body(vendor):
            return None
        template = (SQLITE if vendor == "sqlite" else POSTGRESQL).format(
            name=self.name,
            event=self.event,
            when=f"WHEN ({self.condition})".replace("%", "%%") if self.condition else "",
            body=self.body(vendor).replace("%", "%%"),
        )
        return Statement(template, table=Table(model._meta.db_table, schema_editor.quote_name))

    def remove_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        assert schema_editor is not None
        vendor = schema_editor.connection.vendor
        if vendor == "sqlite":
            return f"DROP TRIGGER IF EXISTS {self.name}"
        return f"DROP FUNCTION IF EXISTS {self.name}() CASCADE"

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a trigger refuses no row."""

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        own = ("event", "condition", "sqlite", "postgresql")
        return path, args, {**kwargs, **{name: getattr(self, name) for name in own}}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Trigger):
            return bool(self.deconstruct() == other.deconstruct())
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)


class AddTrigger(migrations.AddConstraint):
    """``AddConstraint`` for a :class:`Trigger`, without a copy of the table on SQLite."""

    model_name: str
    constraint: Trigger

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.execute(self.constraint.remove_sql(model, schema_editor), None)
        if statement := self.constraint.create_sql(model, schema_editor):
            schema_editor.execute(statement, None)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        schema_editor.execute(self.constraint.remove_sql(model, schema_editor), None)


def declared(vendor: str) -> Iterator[tuple[type[models.Model], Trigger]]:
    """Yield the declared triggers of a database, each with its model."""
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if isinstance(constraint, Trigger) and constraint.body(vendor):
                yield model, constraint


def get_missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of declared triggers that the database lacks."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING[connection.vendor])
        existing = {name for (name,) in cursor.fetchall()}
    names = [trigger.name for _, trigger in declared(connection.vendor)]
    return [name for name in names if name not in existing]
