"""Reading many rows without keeping them all in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


@contextmanager
def streamed(queryset: QuerySet[Row]) -> Iterator[Iterator[Row]]:
    """Yield an iterator of the rows, whose cursor is closed when the block ends, however it does.

    Of an iterator that is dropped half-way, as by an exception, the garbage collector closes the
    cursor. It may do so during another query of the same thread, for whose end it then waits for
    ever.
    """
    rows: Any = queryset.iterator()
    try:
        yield rows
    finally:
        rows.close()
