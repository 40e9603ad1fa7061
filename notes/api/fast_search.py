"""A search on the fast path: one that the terms of the index answer, and that is not too broad.

What it does is in ``notes.api.search``; see ``cloudnotes.fastpath.views`` for why it is here once
more.
"""

import functools
import re
from typing import Any
from urllib.parse import unquote_plus

from django.db.models import Exists
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.models import User
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

# With more to count the event loop would be held up.
MOST_NEEDLES = 8
QUERY = re.compile(
    r"q=([\w.~%+*'()!:/-]+)(?:&limit=([1-9]|1\d|20))?(?:&cursor=([\w.-]+))?", re.ASCII
)


def _candidates() -> Any:
    """Return what matches and whether there is anything that is not indexed yet."""
    indexed = IndexedNote.objects.visible_to(READER)
    matching = indexed.filter(terms__matches=Parameter("terms"))
    behind = Exists(indexing.behind().filter(pk=Parameter("user")))
    return finding.candidates(matching).values_list("pk", *finding.TEXT, behind)


CANDIDATES = Query(_candidates)


@functools.cache
def found(number: int) -> Query:
    """Return the query of so many notes."""
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
        self, request: Request, user: User, fetch: Executor, *numbers: int
    ) -> Response | None:
        parameters = QUERY.fullmatch(request.query)
        if parameters is None or user.limited_to_category:
            return None
        limit, cursor = int(parameters[2] or search.PAGE), parameters[3]
        try:
            q = unquote_plus(parameters[1], errors="strict")
            wanted = grammar.parse(q)
            after = search.read_cursor(cursor, q, user) if cursor else None
        except (UnicodeDecodeError, grammar.BrokenQuery, ValidationError):
            return None
        plan = finding.plan(wanted, owner=user.pk, language=user.language)
        is_ranked = after is None or after.order == finding.SCORE
        if "\0" in q or not (is_ranked and plan.is_of_terms_alone):
            return None
        if len(plan.needles) > MOST_NEEDLES:
            return None
        if wanted.with_trash:
            return None
        rows = await fetch(CANDIDATES, user=user.pk, terms=finding.to_sql(plan.terms))
        if not 0 < len(rows) <= finding.RANKED or rows[0][3]:
            return None
        candidates = [Candidate(*row[:3]) for row in rows]
        page = finding.ranked(candidates, plan.needles, after=after, limit=limit)
        notes = await self._notes(page.ids, user, fetch)
        if any(note.content is None for note in notes.values()):
            return None
        if sum(len(note.content or "") for note in notes.values()) > SMALL_BYTES:
            return None
        looked_for = excerpts.wanted(finding.wanted_words(wanted), user.language)
        body = {
            "results": [
                self._found(notes[pk], request.root, looked_for, user.language)
                for pk in page.ids
                if pk in notes
            ],
            "next": search.write_cursor(page.end, q, user) if page.end else None,
            "pending": 0,
        }
        return Response(views.render(body))

    @staticmethod
    def _found(note: Any, root: str, looked_for: excerpts.Wanted, language: str) -> dict[str, Any]:
        data = note_json(note, root, search.FIELDS)
        return search.found_data(data, note.content, looked_for, language)

    async def _notes(self, ids: Any, user: User, fetch: Executor) -> dict[int, Any]:
        if not ids:
            return {}
        # As many as a page has, so that there is one statement for all of them.
        padded = [*ids, *[ids[-1]] * (search.PAGE - len(ids))]
        keys = {f"note_{n}": pk for n, pk in enumerate(padded)}
        since = timezone.now() - versions.SEEN_WITHIN
        rows = await fetch(found(len(padded)), user=user.pk, since=since, **keys)
        return {row[0]: NoteRow(*row) for row in rows}


VIEWS = (Search(),)
