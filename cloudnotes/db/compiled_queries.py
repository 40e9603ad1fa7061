"""Queries that the ORM writes once and that are only bound afterwards.

Building a queryset and its SQL takes the ORM several times as long as the database needs for the
answer. A hot query is therefore compiled at its first use, with a :class:`Parameter` wherever a
request has its own value. The queryset stays the one place that says who may see what.
"""

import datetime as dt
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet, Value
from django.db.models.query import get_related_populators  # type: ignore[attr-defined]  # untyped

Row = Sequence[Any]
M = TypeVar("M", bound=Model)


class Bindable(Protocol):
    """What can be sent to a database once its values are known.

    ``timeout_seconds`` is for how many seconds an event loop waits for the answer.
    """

    timeout_seconds: float

    def bind(self, values: dict[str, Any]) -> tuple[str, Any]:
        """Return the statement and its parameters."""
        ...

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, asked by this thread's connection."""
        ...


class Executor(Protocol):
    """Returns the rows of a query over whatever connection the caller has."""

    def __call__(self, query: Bindable, **values: Any) -> Awaitable[list[Row]]: ...


class Statement:
    """A statement of our own for PostgreSQL, with ``%(names)s`` for its values."""

    # Longer than all of the server's own (cloudnotes.fastpath.dispatch.WRITE_OPTIONS): what is
    # given up here is not to be carried out after all. A disk that hangs at the commit is beyond
    # that.
    timeout_seconds = 3.5

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def bind(self, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the statement and its parameters."""
        return self.sql, values

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, asked by this thread's connection."""
        with connection.cursor() as cursor:
            cursor.execute(*self.bind(values))
            rows: list[Row] = cursor.fetchall()
        return rows


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

    timeout_seconds = 3.0

    def __init__(self, make: Callable[[], "QuerySet[Any, Any]"]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._compiled: _Compiled | None = None

    def bind(self, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """Return the statement and its parameters. Raises KeyError for a value that is missing."""
        compiled = self._compile()
        parameters = [
            values[parameter] if isinstance(parameter, _Name) else parameter
            for parameter in compiled.parameters
        ]
        if compiled.adapt:
            parameters = [
                compiled.adapt(value) if isinstance(value, dt.datetime) else value
                for value in parameters
            ]
        return compiled.sql, parameters

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, read by this thread's connection."""
        sql, parameters = self.bind(values)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[Row] = cursor.fetchall()
        compiled = self._compile()
        if compiled.converters:  # SQLite has no times and no booleans
            rows = list(compiled.compiler.apply_converters(rows, compiled.converters))
        return rows

    def _compile(self) -> "_Compiled":
        if self._compiled is None:
            with self._lock:
                compiler = self._make().query.get_compiler("default")
                sql, parameters = compiler.as_sql()
                converters = compiler.get_converters([column[0] for column in compiler.select])
                # PostgreSQL's driver takes times as they are.
                is_sqlite = connection.vendor == "sqlite"
                adapt = connection.ops.adapt_datetimefield_value if is_sqlite else None
                self._compiled = _Compiled(compiler, sql, parameters, converters, adapt)
        return self._compiled


class InstanceQuery(Query, Generic[M]):
    """A compiled query for instances, with those that ``select_related`` loads beside them."""

    def __init__(self, make: Callable[[], "QuerySet[M]"]) -> None:
        super().__init__(make)
        self._shape: tuple[type[M], slice, list[str], list[Any]] | None = None

    def first(self, **values: Any) -> M | None:
        """Return the first instance, None without one."""
        rows = self.fetch(**values)
        return self.make(rows[0]) if rows else None

    def make(self, row: Row) -> M:
        """Return the instance of a row."""
        if self._shape is None:
            # What Django's own ModelIterable works out for each queryset.
            compiler = self._compile().compiler
            select, klass_info = compiler.select, compiler.klass_info
            columns = slice(klass_info["select_fields"][0], klass_info["select_fields"][-1] + 1)
            names = [column[0].target.attname for column in select[columns]]
            populators = get_related_populators(klass_info, select, "default")
            self._shape = klass_info["model"], columns, names, populators
        model, columns, names, populators = self._shape
        instance: M = model.from_db("default", names, row[columns])
        for populator in populators:
            populator.populate(row, instance)
        return instance


class _Compiled(NamedTuple):
    """What a queryset's compiler has made of it."""

    compiler: Any
    sql: str
    parameters: tuple[Any, ...]
    converters: Any
    adapt: Callable[[dt.datetime], Any] | None
