"""Database expressions that Django does not have."""

from typing import Any

from django.db.models import BooleanField, Func, IntegerField, TextField


class OctetLength(Func):
    """How many bytes a text has in UTF-8, without reading it where the database can."""

    function = "OCTET_LENGTH"
    arity = 1
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "LENGTH(CAST(%(expressions)s AS BLOB))"
        return self.as_sql(compiler, connection, template=template, **context)


class Bytewise(Func):
    """A text that is compared by its UTF-8 bytes, whatever the database's collation is."""

    template = '(%(expressions)s) COLLATE "C"'
    arity = 1
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(%(expressions)s) COLLATE BINARY"
        return self.as_sql(compiler, connection, template=template, **context)


class Unindexed(Func):
    """A condition that only filters rows: the planner uses no index for it."""

    template = "(%(expressions)s) IS TRUE"
    arity = 1
    output_field = BooleanField()
