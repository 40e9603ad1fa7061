"""Queries that the ORM writes once and that are only bound afterwards.

Building a queryset and its SQL takes the ORM several times as long as the database needs for the
answer. A hot query is therefore compiled at its first use, with a :class:`Parameter` wherever a
request has its own value. The queryset stays the one place that says who may see what.
"""

import datetime as dt
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet, Value
from django.db.models.query import get_related_populators  # type: ignore[attr-defined]  # untyped

Row = Sequence[Any]
M = TypeVar("M", bound=Model)


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
    """A queryset, compiled once a process.

    ``make`` returns it. It is called once, so it must not depend on a request or on the time.
    """

    def __init__(self, make: Callable[[], "QuerySet[Any, Any]"]) -> None:
        self._make = make

    @functools.cached_property
    def _compiler(self) -> Any:
        return self._make().query.get_compiler("default")

    @functools.cached_property
    def _statement(self) -> tuple[str, tuple[Any, ...]]:
        sql, parameters = self._compiler.as_sql()
        return sql, parameters

    @functools.cached_property
    def _converters(self) -> Any:
        return self._compiler.get_converters([column[0] for column in self._compiler.select])

    def bind(self, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """Return the statement and its parameters. Raises KeyError for a value that is missing."""
        sql, parameters = self._statement
        return sql, [
            _adapt(values[each]) if isinstance(each, _Name) else each for each in parameters
        ]

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, read by this thread's connection."""
        sql, parameters = self.bind(values)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[Row] = cursor.fetchall()
        if self._converters:  # SQLite has no times and no booleans
            rows = list(self._compiler.apply_converters(rows, self._converters))
        return rows


class InstanceQuery(Query, Generic[M]):
    """A compiled query for instances, with those that ``select_related`` loads beside them."""

    def __init__(self, make: Callable[[], "QuerySet[M]"]) -> None:
        super().__init__(make)

    def first(self, **values: Any) -> M | None:
        """Return the first instance, None without one."""
        for row in self.fetch(**values):
            model, names, columns, populators = self._shape
            instance: M = model.from_db("default", names, row[columns])
            for populator in populators:
                populator.populate(row, instance)
            return instance
        return None

    @functools.cached_property
    def _shape(self) -> tuple[type[M], list[str], slice, list[Any]]:
        """What Django's own iteration over instances works out for each queryset anew."""
        _ = self._statement  # which tells the compiler what it selects
        select, shape = self._compiler.select, self._compiler.klass_info
        columns = slice(shape["select_fields"][0], shape["select_fields"][-1] + 1)
        names = [column[0].target.attname for column in select[columns]]
        return shape["model"], names, columns, get_related_populators(shape, select, "default")


def _adapt(value: Any) -> Any:
    """Return a value as the driver takes it."""
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value
