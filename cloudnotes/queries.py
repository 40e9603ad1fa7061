"""Queries that the ORM writes once and that are only bound afterwards.

Building a queryset and its SQL takes the ORM several times as long as the database needs for the
answer. A hot query is therefore compiled at its first use, with a :class:`Parameter` wherever a
request has its own value. The queryset stays the one place that says who may see what.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from django.db import connection
from django.db.models import QuerySet, Value

Row = Sequence[Any]


class Fetch(Protocol):
    """Returns the rows of a query over whatever connection the caller has."""

    def __call__(self, query: "Query", **values: Any) -> Awaitable[list[Row]]: ...


class _Name(str):
    """Where a value goes; no text that a query compares with."""

    __slots__ = ()


class Parameter(Value):
    """A value that is not known yet, by name, in a condition of a compiled query."""

    def __init__(self, name: str) -> None:
        super().__init__(_Name(name))

    def _resolve_output_field(self) -> None:
        return None  # whatever it is compared with


class Query:
    """A queryset of ``values_list`` rows, compiled once a process.

    ``make`` returns it. It is called once, so it must not depend on a request or on the time.
    """

    def __init__(self, make: Callable[[], "QuerySet[Any, Any]"]) -> None:
        self._make = make
        self._compiled: tuple[str, tuple[Any, ...], Any] | None = None

    def _compile(self) -> tuple[str, tuple[Any, ...], Any]:
        if self._compiled is None:
            compiler = self._make().query.get_compiler("default")
            sql, parameters = compiler.as_sql()
            converters = compiler.get_converters([column[0] for column in compiler.select or ()])
            convert = None
            if converters:  # SQLite has no times and no booleans
                convert = lambda rows: compiler.apply_converters(rows, converters)  # noqa: E731
            self._compiled = sql, parameters, convert
        return self._compiled

    def bind(self, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """Return the statement and its parameters. Raises KeyError for a value that is missing."""
        sql, parameters, _ = self._compile()
        return sql, [
            _adapt(values[each]) if isinstance(each, _Name) else each for each in parameters
        ]

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, read by this thread's connection."""
        sql, parameters = self.bind(values)
        _, _, convert = self._compile()
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows = cursor.fetchall()
        return list(convert(rows)) if convert else rows


def _adapt(value: Any) -> Any:
    """Return a value as the driver takes it."""
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value
