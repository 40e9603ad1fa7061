"""A foreign key whose ON DELETE the database itself executes."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class ForeignKeyConstraint(models.BaseConstraint):
    """``FOREIGN KEY (field) … ON DELETE on_delete`` as a named constraint of the table.

    Django 5.2 cascades in Python and writes foreign keys without ON DELETE. Declared in
    ``Meta.constraints``, this one is part of every CREATE TABLE that Django writes, so SQLite's
    table rebuilds keep it too. The field it names has
    ``db_constraint=False`` (this is its constraint) and ``on_delete=DO_NOTHING`` (the database
    does it). Like Django's own it is checked at commit.

    ``on_delete`` is CASCADE, SET NULL (of a nullable field) or NO ACTION (RESTRICT cannot be
    deferred: SQLite refuses to empty all tables in one transaction with it).
    """

    def __init__(
        self,
        *,
        field: str,
        on_delete: str = "CASCADE",
        name: str,
        violation_error_code: str | None = None,
        violation_error_message: str | None = None,
    ) -> None:
        self.field = field
        self.on_delete = on_delete
        super().__init__(
            name=name,
            violation_error_code=violation_error_code,
            violation_error_message=violation_error_message,
        )

    @property
    def fields(self) -> tuple[str]:
        return (self.field,)

    def constraint_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        assert model is not None
        assert schema_editor is not None
        quote = schema_editor.quote_name
        field: Any = model._meta.get_field(self.field)
        target = field.target_field
        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({quote(field.column)})"
            f" REFERENCES {quote(target.model._meta.db_table)} ({quote(target.column)})"
            f" ON DELETE {self.on_delete} DEFERRABLE INITIALLY DEFERRED"
        )

    def create_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        assert model is not None
        assert schema_editor is not None
        table = schema_editor.quote_name(model._meta.db_table)
        return f"ALTER TABLE {table} ADD {self.constraint_sql(model, schema_editor)}"

    def remove_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        assert model is not None
        assert schema_editor is not None
        quote = schema_editor.quote_name
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``ForeignKey.validate`` has checked that the row exists."""

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "field": self.field, "on_delete": self.on_delete}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ForeignKeyConstraint):
            return bool(self.deconstruct() == other.deconstruct())
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)
