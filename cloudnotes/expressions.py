"""Database expressions that Django does not have."""

from typing import Any

from django.db.models import Func, IntegerField


class OctetLength(Func):
    """How many bytes a text has in UTF-8, without reading it where the database can."""

    function = "OCTET_LENGTH"
    arity = 1
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "LENGTH(CAST(%(expressions)s AS BLOB))"
        return self.as_sql(compiler, connection, template=template, **context)
