"""Writes that are a single statement of PostgreSQL.

``notes.actions.notes`` uses a transaction of several statements: lock, snapshot, write, record.
PostgreSQL can do this in one statement, which is a transaction by itself. There are no round trips
in between, and the feed is locked only as long as the commit takes. All decisions are made before,
by the same functions (:func:`notes.actions.versions.plan_write`), from the note as it was read. The
statement writes only if the note is still as it was read; otherwise it does nothing.

``fetch`` sends a statement over the caller's connection. After an exception the write may have been
made or not, except after ``cloudnotes.fastpath.async_pool.NotDone``: then it was not made.
"""

import datetime as dt
from typing import Any

from accounts.callers import Caller
from cloudnotes.db.compiled_queries import Executor, Statement
from notes import access, events
from notes.actions import versions
from notes.actions.versions import Expected
from notes.models import Note
from notes.models.changes import ADVANCE_AND_APPEND
from notes.models.revisions import snapshot_sql

CREATE = Statement(
    f"""
WITH changed AS (
    INSERT INTO notes_note (
        owner_id, title, content, category, version, created_at, updated_at, state_version,
        state_since, state_by_id, state_cause, state_credential, state_given
    ) VALUES (
        %(by)s, %(title)s, %(content)s, %(category)s, 1, %(now)s, %(now)s, 1,
        %(now)s, %(by)s, %(cause)s, %(credential)s, FALSE
    ) RETURNING id
),
{ADVANCE_AND_APPEND}"""  # noqa: S608 - of constants
)
UPDATE = Statement(
    f"""
WITH replaced AS (
    SELECT * FROM notes_note
    WHERE id = %(note)s AND version = %(version)s AND state_given = %(given)s
    AND is_favorite = %(is_favorite)s AND is_archived = %(is_archived)s
    AND trashed_at IS NULL FOR UPDATE
),
kept AS (
    {snapshot_sql(replaced_at="%(now)s")}
    FROM replaced WHERE %(keeps)s RETURNING id
),
changed AS (
    UPDATE notes_note SET title = %(title)s, content = %(content)s,
        version = replaced.version + 1, updated_at = %(now)s,
        state_version = replaced.version + 1, state_since = %(since)s, state_by_id = %(by)s,
        state_cause = %(cause)s, state_credential = %(credential)s, state_given = FALSE
    FROM replaced WHERE notes_note.id = replaced.id
    AND (SELECT COUNT(*) FROM kept) >= 0 -- so that the feed, which follows, is locked last
    RETURNING notes_note.id
),
{ADVANCE_AND_APPEND}"""  # noqa: S608 - of constants
)


async def create_note(
    *, title: str, content: str, category: str = "", by: Caller, now: dt.datetime, fetch: Executor
) -> Note:
    """As :func:`notes.actions.notes.create_note`."""
    note = Note(
        owner=by.user,
        title=title,
        content=content,
        category=category,
        created_at=now,
        updated_at=now,
        state_since=now,
        state_by=by.user,
        state_credential=by.credential,
    )
    ((note.pk,), *_) = await fetch(
        CREATE,
        title=title,
        content=content,
        category=category,
        cause=note.state_cause,
        credential=by.credential,
        by=by.pk,
        audience=access.audience(note),
        now=now,
    )
    events.tell("note_created", note=note, by=by)
    return note


async def update_note(
    *,
    note: Note,
    changes: dict[str, Any],
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
    fetch: Executor,
) -> Note | None:
    """As :func:`notes.actions.notes.update_note`, for a ``title`` and ``content`` that differ.

    Returns None and writes nothing if the note has changed since it was read. Raises
    :class:`notes.actions.versions.StaleVersion` and
    :class:`notes.actions.versions.ContentTooLong`.
    """
    versions.check(note, expected)
    cause, as_read = Note.Cause.EDIT, {"version": note.version, "given": note.state_given}
    _, keeps, now = versions.plan_write(note, changes, by=by, cause=cause, now=now)
    versions.apply_changes(note, changes, keeps=keeps, by=by, cause=cause, now=now)
    rows = await fetch(
        UPDATE,
        note=note.pk,
        **as_read,
        is_favorite=note.is_favorite,
        is_archived=note.is_archived,
        keeps=keeps,
        title=note.title,
        content=note.content,
        since=note.state_since,
        cause=cause,
        credential=by.credential,
        by=by.pk,
        audience=access.audience(note),
        now=now,
    )
    if not rows:  # rows of the feed: the writer of a note is always in its audience
        return None
    note.version, note.updated_at = note.version + 1, now
    events.tell("note_updated", note=note, by=by)
    return note
