"""Search on the fast path, for queries that need only the terms of the index and are not too broad.

``notes.api.search`` defines what it does; ``cloudnotes.fastpath.views`` says why it is implemented
here a second time.
"""

import functools
import re
from typing import Any
from urllib.parse import unquote_plus

from django.db.models import Exists
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.callers import Caller
from cloudnotes.db.compiled_queries import Executor, Parameter, Query
from cloudnotes.fastpath import views
from cloudnotes.fastpath.views import Request, Response
from notes.actions import indexing, versions
from notes.api import search
from notes.api.fast import READER, SELECTED, SMALL_BYTES, NoteRow, visible
from notes.api.permissions import SCOPES
from notes.models import IndexedNote
from notes.models.fields import note_json
from notes.search import excerpts, finding, grammar
from notes.search.ranking import Candidate

# Counting more words would block the event loop for too long.
MAX_NEEDLES = 8
QUERY = re.compile(
    r"q=([\w.~%+*'()!:/-]+)(?:&limit=([1-9]|1\d|20))?(?:&cursor=([\w.-]+))?", re.ASCII
)


def _candidates() -> Any:
    """Return a query of the matching notes, each with whether the index is behind."""
    indexed = IndexedNote.objects.visible_to(READER)
    matching = indexed.filter(terms__matches=Parameter("terms"))
    behind = Exists(indexing.behind().filter(pk=Parameter("user")))
    return finding.candidates(matching).values_list("pk", *finding.TEXT, behind)


CANDIDATES = Query(_candidates)


@functools.cache
def notes_query(number: int) -> Query:
    """Return the query of ``number`` notes by their ids."""
    keys = [Parameter(f"note_{n}") for n in range(number)]
    return Query(lambda: visible().filter(pk__in=keys).values_list(*SELECTED))


class Search(views.View):
    """``GET search``."""

    path = "/api/v1/search"
    allow = "GET, HEAD, OPTIONS"
    scope = SCOPES["GET"]

    def takes(self, query: str) -> bool:
        return QUERY.fullmatch(query) is not None

    async def answer(
        self, request: Request, caller: Caller, fetch: Executor, *numbers: int
    ) -> Response | None:
        parameters = QUERY.fullmatch(request.query)
        if parameters is None or caller.category:
            return None
        limit, cursor = int(parameters[2] or search.PAGE), parameters[3]
        try:
            q = unquote_plus(parameters[1], errors="strict")
            parsed = grammar.parse(q)
            after = search.read_cursor(cursor, q, caller) if cursor else None
        except (UnicodeDecodeError, grammar.BrokenQuery, ValidationError):
            return None
        plan = finding.plan(parsed, owner=caller.pk, language=caller.user.language)
        is_ranked = after is None or after.order == finding.SCORE
        if "\0" in q or not (is_ranked and plan.is_of_terms_alone):
            return None
        if len(plan.needles) > MAX_NEEDLES:
            return None
        if parsed.with_trash:
            return None
        rows = await fetch(CANDIDATES, user=caller.pk, terms=finding.to_sql(plan.terms))
        if not 0 < len(rows) <= finding.RANKED or rows[0][4]:
            return None
        candidates = [Candidate(*row[:4]) for row in rows]
        page = finding.ranked(candidates, plan, after=after, limit=limit)
        notes = await self._notes(page.ids, caller, fetch)
        if any(note.content is None for note in notes.values()):
            return None
        if sum(len(note.content or "") for note in notes.values()) > SMALL_BYTES:
            return None
        wanted = excerpts.wanted(finding.wanted_words(parsed), caller.user.language)
        payload = {
            "results": [
                self._result(notes[pk], request.root, wanted, caller.user.language)
                for pk in page.ids
                if pk in notes
            ],
            "next": search.write_cursor(page.end, q, caller) if page.end else None,
            "pending": 0,
        }
        return Response(views.render(payload))

    @staticmethod
    def _result(note: Any, root: str, wanted: excerpts.Wanted, language: str) -> dict[str, Any]:
        summary = note_json(note, root, search.FIELDS)
        return search.result_json(summary, note.content, wanted, language)

    async def _notes(self, ids: Any, caller: Caller, fetch: Executor) -> dict[int, Any]:
        if not ids:
            return {}
        # The ids are padded to the size of a page, so that all pages share one statement.
        padded = [*ids, *[ids[-1]] * (search.PAGE - len(ids))]
        keys = {f"note_{n}": pk for n, pk in enumerate(padded)}
        since = timezone.now() - versions.SEEN_WITHIN
        rows = await fetch(notes_query(len(padded)), user=caller.pk, since=since, **keys)
        return {row[0]: NoteRow(*row) for row in rows}


VIEWS = (Search(),)
