"""The hot requests about notes: list, read, create and change, on the fast path.

What they do and how they refuse is in ``notes.api.notes``; see ``cloudnotes.fastpath.views`` for
why they are here once more.
"""

import collections
import functools
import re
from types import SimpleNamespace
from typing import Any, ClassVar

from django.db import connection
from django.db.models import Case, Q, Subquery, Value, When
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone
from rest_framework.exceptions import ParseError

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
TRIES = 3  # with a note that others write to at the same time
PAGE_QUERY = re.compile(r"(?:limit=([1-9]|1\d|20))?(?:(?:^|(?<=.)&)cursor=([\w.-]+))?", re.ASCII)
# Whoever asks, with all of their notes: a token that is limited to a category takes the Django
# path.
READER: Any = SimpleNamespace(pk=Parameter("user"), limited_to_category="")


# Of a live note, which is not in the trash.
LIVE_COLUMNS = tuple(column for column in COLUMNS if column != "trashed_at")


def _row_type() -> Any:
    members = (*LIVE_COLUMNS, "mark", "trashed_at")
    return collections.namedtuple("NoteRow", members, defaults=(None, None))


# A live note, with the mark of the feed that it was read in where that was selected too. One
# without `content` is for the Django path.
NoteRow = _row_type()
# A page of larger notes would hold up the event loop.
SMALL_BYTES = 64 * 2**10
SMALL: Any = LessThanOrEqual(OctetLength("content"), SMALL_BYTES)
# Where nothing has to be written before a reader is given it.
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
TO_WRITE = InstanceQuery(
    lambda: Note.objects.owned_by(READER).live().filter(SMALL, pk=Parameter("note"))
)
FEED = Query(lambda: Feed.objects.filter(pk=Parameter("user")).values_list(MARK))


@functools.cache
def page(limit: int, *, is_first: bool) -> Query:
    """Return the query of a page and one note more, each with the feed's mark."""

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
        self, request: Request, user: User, fetch: Executor, *numbers: int
    ) -> Response | None:
        query = PAGE_QUERY.fullmatch(request.query)
        if query is None or user.limited_to_category:
            return None
        limit, cursor = int(query[1] or PAGE), query[2]
        place: dict[str, Any] = {}
        scope = [f"user {user.pk}"]
        if cursor:
            try:
                place["at"], place["key"] = cursors.read(cursor, "updated_at", scope)
            except cursors.NotACursor:
                return None
        if known := request.headers.get("if-none-match"):
            marks = await fetch(FEED, user=user.pk)
            tag = self.etag(request, user, *(mark for (mark,) in marks))
            if preconditions.etag_matches(known, tag):
                return Response(b"", 304, {"ETag": tag})
        since = timezone.now() - versions.SEEN_WITHIN
        rows = await fetch(page(limit, is_first=not cursor), user=user.pk, since=since, **place)
        notes = [NoteRow(*row) for row in rows[:limit]]
        if not notes or any(note.content is None for note in notes):
            return None
        following = None
        if len(rows) > limit:
            following = cursors.write("updated_at", notes[-1].updated_at, notes[-1].id, scope)
        body = {"results": [note_json(note, request.root) for note in notes], "next": following}
        tag = self.etag(request, user, notes[0].mark)
        return Response(views.render(body), headers={"ETag": tag})

    def etag(self, request: Request, user: User, mark: str | None = None) -> str:
        """Return the entity tag of the page when the feed is at a mark, if it has one yet."""
        said = (f"{request.root}/", request.address, *NAMES)
        return preconditions.list_etag(user, mark, *said)


class NoteRead(views.View):
    """``GET notes/{id}``."""

    path = NOTES
    has_number = True
    allow = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
    scope = SCOPES["GET"]

    async def answer(
        self, request: Request, user: User, fetch: Executor, *numbers: int
    ) -> Response | None:
        if user.limited_to_category:
            return None
        asked_for = {"user": user.pk, "note": numbers[0]}
        if known := request.headers.get("if-none-match"):
            for row in await fetch(VERSION, **asked_for):
                tag = preconditions.etag(*row)
                if preconditions.etag_matches(known, tag):
                    return Response(b"", 304, {"ETag": tag})
        since = timezone.now() - versions.SEEN_WITHIN
        for row in await fetch(NOTE, since=since, **asked_for):
            note = NoteRow(*row)
            return None if note.content is None else note_answer(note, request)
        return None


class NoteCreate(views.View):
    """``POST notes``."""

    method = "POST"
    path = NOTES
    allow = NoteList.allow
    scope = SCOPES["POST"]
    max_body_bytes = views.MAX_BODY_BYTES

    async def answer(
        self, request: Request, user: User, fetch: Executor, *numbers: int
    ) -> Response | None:
        given = read_note(request)
        if user.limited_to_category or given is None or "title" not in given:
            return None
        title, content, now = given["title"], given.get("content", ""), timezone.now()
        try:
            if connection.vendor == "postgresql":
                note = await single_statement.create_note(
                    title=title, content=content, by=user, now=now, fetch=fetch
                )
            else:
                note = note_actions.create_note(title=title, content=content, by=user, now=now)
        except views.UNKNOWN as error:
            return views.unavailable(error)
        location = {"Location": f"{request.root}{NOTES}/{note.pk}"}
        return note_answer(note, request, status=201, headers=location)


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
        self, request: Request, user: User, fetch: Executor, *numbers: int
    ) -> Response | None:
        given, if_match = read_note(request), request.headers.get("if-match")
        if user.limited_to_category or given is None:
            return None
        if "title" not in given and not self.is_partial:
            return None
        if not self.is_partial:
            given.setdefault("content", "")
        if "if-none-match" in request.headers or (user.require_if_match and if_match is None):
            return None
        expected = None
        if if_match is not None and if_match.strip() != "*":
            expected = preconditions.named_versions(if_match)
        for _ in range(TRIES):
            rows = await fetch(TO_WRITE, user=user.pk, note=numbers[0])
            note: Note | None = TO_WRITE.make(rows[0]) if rows else None
            if note is None or not access.can(user, "edit", note):
                return None
            if all(getattr(note, name) == value for name, value in given.items()):
                return None  # nothing to write, and perhaps something to mark
            write: Any = {"note": note, "changes": given, "by": user, "expected": expected}
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
                return note_answer(note, request)
        return None


class NoteChange(NoteReplace):
    """``PATCH notes/{id}``."""

    method = "PATCH"
    scope = SCOPES["PATCH"]
    is_partial = True


VIEWS = (NoteList(), NoteRead(), NoteCreate(), NoteReplace(), NoteChange())


def read_note(request: Request) -> dict[str, str] | None:
    """Return the title and content that are sent; None if anything about them needs a look."""
    try:
        given = request.json()
    except ParseError:
        return None
    if not isinstance(given, dict) or not given.keys() <= {"title", "content"}:
        return None
    title, content = given.get("title", ""), given.get("content", "")
    is_right = (
        isinstance(title, str)
        and isinstance(content, str)
        and file_links.SIGNED not in content
        and len(title) <= MAX_TITLE_LENGTH
        and len(content.encode()) <= MAX_CONTENT_BYTES
    )
    return given if is_right else None


def note_answer(
    note: Any, request: Request, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a note as the answer to a request, with its entity tag."""
    tag = {"ETag": preconditions.etag(note.version, note.is_favorite, note.is_archived)}
    return Response(views.render(note_json(note, request.root)), status, {**tag, **(headers or {})})
