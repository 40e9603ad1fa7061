"""Compiled queries: the ORM makes their SQL once, and each request only binds its values.

The ORM needs several times as long to build a queryset and its SQL as the database needs to run it.
So a frequent query is compiled at its first use, with a :class:`Parameter` for every value that
differs between requests. Access rules stay in one place, the querysets.
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
    """A statement that can be executed once its values are bound.

    ``timeout_seconds`` is how long an event loop waits for the result.
    """

    timeout_seconds: float

    def bind(self, values: dict[str, Any]) -> tuple[str, Any]:
        """Return the statement and its parameters."""
        ...

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, read by this thread's connection."""
        ...


class Executor(Protocol):
    """Executes a query on the caller's connection and returns its rows."""

    def __call__(self, query: Bindable, **values: Any) -> Awaitable[list[Row]]: ...


class Statement:
    """Hand-written SQL for PostgreSQL, with ``%(names)s`` for its values."""

    # Longer than all timeouts of the server (cloudnotes.fastpath.dispatch.WRITE_OPTIONS), so that a
    # statement which times out here is not executed later. Only a disk that hangs during the commit
    # can break that.
    timeout_seconds = 3.5

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def bind(self, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the statement and its parameters."""
        return self.sql, values

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows, read by this thread's connection."""
        with connection.cursor() as cursor:
            cursor.execute(*self.bind(values))
            rows: list[Row] = cursor.fetchall()
        return rows


class _Name(str):
    """The name of a parameter; a class of its own, because a query may compare with a str."""

    __slots__ = ()


class Parameter(Value):
    """A named placeholder for a value, in a condition of a compiled query."""

    def __init__(self, name: str) -> None:
        super().__init__(_Name(name))

    def _resolve_output_field(self) -> None:
        return None  # the field that it is compared with decides


class Query:
    """A queryset that is compiled once per process.

    ``make`` returns the queryset. It is called once, so it must not depend on a request or time.
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
        if compiled.converters:  # SQLite has no type for times and booleans
            rows = list(compiled.compiler.apply_converters(rows, compiled.converters))
        return rows

    def _compile(self) -> "_Compiled":
        if self._compiled is None:
            with self._lock:
                compiler = self._make().query.get_compiler("default")
                sql, parameters = compiler.as_sql()
                converters = compiler.get_converters([column[0] for column in compiler.select])
                # PostgreSQL's driver needs no conversion of times.
                is_sqlite = connection.vendor == "sqlite"
                adapt = connection.ops.adapt_datetimefield_value if is_sqlite else None
                self._compiled = _Compiled(compiler, sql, parameters, converters, adapt)
        return self._compiled


class InstanceQuery(Query, Generic[M]):
    """A compiled query that returns instances, including those of ``select_related``."""

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
            # As in Django's ModelIterable, which computes this for each queryset.
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
    """The result of compiling a queryset."""

    compiler: Any
    sql: str
    parameters: tuple[Any, ...]
    converters: Any
    adapt: Callable[[dt.datetime], Any] | None
