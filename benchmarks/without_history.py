"""CloudNotes without its history and its feed, to measure what those two cost."""

from typing import Any

from cloudnotes.db.compiled_queries import Statement
from notes import events
from notes.actions import single_statement
from notes.models import Revision
from notes.models.changes import ADVANCE_AND_APPEND


def leave_out() -> None:
    """Let nothing be recorded in this process from now on: no revision, no event, no feed."""

    def nothing(*args: Any, **options: Any) -> None:
        return None

    events.record = nothing
    Revision.save = nothing
    for statement in (single_statement.CREATE, single_statement.UPDATE):
        statement.sql = _bare(statement)


def _bare(statement: Statement) -> str:
    """Return a write at once that keeps nothing and moves nothing up."""
    assert ADVANCE_AND_APPEND in statement.sql
    sql = statement.sql.replace(ADVANCE_AND_APPEND, "no_feed AS (SELECT) SELECT id FROM changed")
    return sql.replace("%(keeps)s", "FALSE")
