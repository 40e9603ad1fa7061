"""The most frequent requests about notes on the fast path: list, read, create and change.

``notes.api.notes`` defines what they do and how they fail; ``cloudnotes.fastpath.views`` says why
they are implemented here a second time.
"""

import collections
import functools
import re
from typing import Any, ClassVar

from django.db import connection
from django.db.models import Case, Q, Subquery, Value, When
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone
from rest_framework.exceptions import ParseError

from accounts.callers import Caller
from accounts.models import User
from cloudnotes.api import cursors
from cloudnotes.db.compiled_queries import Executor, InstanceQuery, Parameter, Query
from cloudnotes.db.expressions import OctetLength
from cloudnotes.fastpath import views
from cloudnotes.fastpath.views import Request, Response
from notes import access
from notes.actions import notes as note_actions
from notes.actions import single_statement, versions
from notes.api import preconditions
from notes.api.permissions import SCOPES
from notes.markdown import file_links
from notes.models import Feed, Note
from notes.models.changes import MARK
from notes.models.fields import COLUMNS, FLAGS, NAMES, note_json
from notes.models.notes import MAX_CONTENT_BYTES, MAX_TITLE_LENGTH, NoteQuerySet

NOTES = "/api/v1/notes"
PAGE = 20
TRIES = 3  # of a write, when other writes change the same note at the same time
PAGE_QUERY = re.compile(r"(?:limit=([1-9]|1\d|20))?(?:(?:^|(?<=.)&)cursor=([\w.-]+))?", re.ASCII)
# The caller, with access to all of their notes: who has a token that is limited to a category takes
# the Django path.
READER = Caller(User(pk=Parameter("user")))


# The columns of a live note, which is not in the trash.
LIVE_COLUMNS = tuple(column for column in COLUMNS if column != "trashed_at")


def _row_type() -> Any:
    members = (*LIVE_COLUMNS, "mark", "trashed_at")
    return collections.namedtuple("NoteRow", members, defaults=(None, None))


# A live note, with the token of the feed (`mark`) if the query selected it. A note whose `content`
# is None must be read on the Django path.
NoteRow = _row_type()
# A page of larger notes would block the event loop for too long.
SMALL_BYTES = 64 * 2**10
SMALL: Any = LessThanOrEqual(OctetLength("content"), SMALL_BYTES)
# None if the state must be marked as seen before a reader gets it, or if it is too large.
CONTENT_IF_READABLE = Case(
    When(versions.coalescible(since=Parameter("since")), then=Value(None)),
    When(condition=SMALL, then="content"),
)
SELECTED = tuple(CONTENT_IF_READABLE if column == "content" else column for column in LIVE_COLUMNS)


def visible() -> NoteQuerySet:
    """Return the live notes that the caller may see."""
    return Note.objects.visible_to(READER).live()


NOTE = Query(lambda: visible().filter(pk=Parameter("note")).values_list(*SELECTED))
VERSION = Query(lambda: visible().filter(pk=Parameter("note")).values_list("version", *FLAGS))
# Of the owner alone: whether others may still write has to be asked under the note's lock, which
# the single statement does not do.
TO_WRITE = InstanceQuery(
    lambda: Note.objects.owned_by(READER).live().filter(SMALL, pk=Parameter("note"))
)
FEED = Query(lambda: Feed.objects.filter(pk=Parameter("user")).values_list(MARK))


@functools.cache
def page_query(limit: int, *, is_first: bool) -> Query:
    """Return the query of a page and one more note, each with the feed's token."""

    def make() -> Any:
        notes = visible()
        if not is_first:
            at, key = Parameter("at"), Parameter("key")
            notes = notes.filter(Q(updated_at__lte=at), Q(updated_at__lt=at) | Q(pk__lt=key))
        feed = Feed.objects.filter(pk=Parameter("user"))
        rows = notes.annotate(mark=Subquery(feed.values(at=MARK)))
        return rows.order_by("-updated_at", "-pk").values_list(*SELECTED, "mark")[: limit + 1]

    return Query(make)


class NoteList(views.View):
    """``GET notes``: a page of live notes, the last edited first."""

    path = NOTES
    allow = "GET, POST, HEAD, OPTIONS"
    scope = SCOPES["GET"]

    def takes(self, query: str) -> bool:
        return PAGE_QUERY.fullmatch(query) is not None

    async def answer(
        self, request: Request, caller: Caller, fetch: Executor, *numbers: int
    ) -> Response | None:
        query = PAGE_QUERY.fullmatch(request.query)
        if query is None or caller.category:
            return None
        limit, cursor = int(query[1] or PAGE), query[2]
        position: dict[str, Any] = {}
        scope = [f"user {caller.pk}"]
        if cursor:
            try:
                position["at"], position["key"] = cursors.read(cursor, "updated_at", scope)
            except cursors.NotACursor:
                return None
        if if_none_match := request.headers.get("if-none-match"):
            tokens = await fetch(FEED, user=caller.pk)
            tag = self.etag(request, caller, *(token for (token,) in tokens))
            if preconditions.etag_matches(if_none_match, tag):
                return Response(b"", 304, {"ETag": tag})
        since = timezone.now() - versions.SEEN_WITHIN
        rows = await fetch(
            page_query(limit, is_first=not cursor), user=caller.pk, since=since, **position
        )
        notes = [NoteRow(*row) for row in rows[:limit]]
        if not notes or any(note.content is None for note in notes):
            return None
        next_cursor = None
        if len(rows) > limit:
            next_cursor = cursors.write("updated_at", notes[-1].updated_at, notes[-1].id, scope)
        body = {"results": [note_json(note, request.root) for note in notes], "next": next_cursor}
        tag = self.etag(request, caller, notes[0].mark)
        return Response(views.render(body), headers={"ETag": tag})

    def etag(self, request: Request, caller: Caller, feed_token: str | None = None) -> str:
        """Return the entity tag of the page; ``feed_token`` is None while there is no feed."""
        inputs = (f"{request.root}/", request.address, *NAMES)
        return preconditions.list_etag(caller, feed_token, *inputs)


class NoteRead(views.View):
    """``GET notes/{id}``."""

    path = NOTES
    has_number = True
    allow = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
    scope = SCOPES["GET"]

    async def answer(
        self, request: Request, caller: Caller, fetch: Executor, *numbers: int
    ) -> Response | None:
        if caller.category:
            return None
        params = {"user": caller.pk, "note": numbers[0]}
        if if_none_match := request.headers.get("if-none-match"):
            for row in await fetch(VERSION, **params):
                tag = preconditions.etag(*row)
                if preconditions.etag_matches(if_none_match, tag):
                    return Response(b"", 304, {"ETag": tag})
        since = timezone.now() - versions.SEEN_WITHIN
        for row in await fetch(NOTE, since=since, **params):
            note = NoteRow(*row)
            return None if note.content is None else note_response(note, request)
        return None


class NoteCreate(views.View):
    """``POST notes``."""

    method = "POST"
    path = NOTES
    allow = NoteList.allow
    scope = SCOPES["POST"]
    max_body_bytes = views.MAX_BODY_BYTES

    async def answer(
        self, request: Request, caller: Caller, fetch: Executor, *numbers: int
    ) -> Response | None:
        payload = read_note(request)
        if caller.category or payload is None or "title" not in payload:
            return None
        title, content, now = payload["title"], payload.get("content", ""), timezone.now()
        try:
            if connection.vendor == "postgresql":
                note = await single_statement.create_note(
                    title=title, content=content, by=caller, now=now, fetch=fetch
                )
            else:
                note = note_actions.create_note(title=title, content=content, by=caller, now=now)
        except views.UNKNOWN as error:
            return views.unavailable(error)
        location = {"Location": f"{request.root}{NOTES}/{note.pk}"}
        return note_response(note, request, status=201, headers=location)


class NoteReplace(views.View):
    """``PUT notes/{id}``."""

    method = "PUT"
    path = NOTES
    has_number = True
    allow = NoteRead.allow
    scope = SCOPES["PUT"]
    max_body_bytes = views.MAX_BODY_BYTES
    is_partial: ClassVar = False

    async def answer(
        self, request: Request, caller: Caller, fetch: Executor, *numbers: int
    ) -> Response | None:
        payload, if_match = read_note(request), request.headers.get("if-match")
        if caller.category or payload is None:
            return None
        if not self.is_partial and payload.keys() != {"title", "content"}:
            return None
        is_required = caller.user.require_if_match
        if "if-none-match" in request.headers or (is_required and if_match is None):
            return None
        expected = None
        if if_match is not None and if_match.strip() != "*":
            expected = preconditions.named_versions(if_match)
        for _ in range(TRIES):
            rows = await fetch(TO_WRITE, user=caller.pk, note=numbers[0])
            note: Note | None = TO_WRITE.make(rows[0]) if rows else None
            if note is None or not access.can(caller, "edit", note):
                return None
            if all(getattr(note, name) == value for name, value in payload.items()):
                return None  # nothing to write, but the state may have to be marked as seen
            write: Any = {"note": note, "changes": payload, "by": caller, "expected": expected}
            try:
                if connection.vendor == "postgresql":
                    note = await single_statement.update_note(
                        **write, now=timezone.now(), fetch=fetch
                    )
                else:
                    note = note_actions.update_note(**write, now=timezone.now())
            except views.UNKNOWN as error:
                return views.unavailable(error)
            if note:
                return note_response(note, request)
        return None


class NoteChange(NoteReplace):
    """``PATCH notes/{id}``."""

    method = "PATCH"
    scope = SCOPES["PATCH"]
    is_partial = True


VIEWS = (NoteList(), NoteRead(), NoteCreate(), NoteReplace(), NoteChange())


def read_note(request: Request) -> dict[str, str] | None:
    """Return the title and content of the body; None if the Django path must validate it."""
    try:
        payload = request.json()
    except ParseError:
        return None
    if not isinstance(payload, dict) or not payload.keys() <= {"title", "content"}:
        return None
    title, content = payload.get("title", ""), payload.get("content", "")
    is_valid = (
        isinstance(title, str)
        and isinstance(content, str)
        and file_links.SIGNED not in content
        and len(title) <= MAX_TITLE_LENGTH
        and len(content.encode()) <= MAX_CONTENT_BYTES
    )
    return payload if is_valid else None


def note_response(
    note: Any, request: Request, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return the response to a request with a note and its entity tag."""
    tag = {"ETag": preconditions.etag(note.version, note.is_favorite, note.is_archived)}
    return Response(views.render(note_json(note, request.root)), status, {**tag, **(headers or {})})
