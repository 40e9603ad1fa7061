"""Find the notes of a search, page by page, in the best order. Nothing is written.

:func:`plan` turns a search into a :class:`Plan` of four conditions: ``terms`` uses the index of
terms; ``cheap`` reads only columns of the row; ``exact`` reads the note's text, for what terms
cannot decide (a phrase, for example); ``titled`` is ``terms`` with all words in the title.

:func:`find` then uses one of two ways. A search that matches at most ``RANKED`` notes is ranked
(``notes.search.ranking``): order ``SCORE``. A broader one is not, as its ranks would not mean much:
first the notes whose title is the query (order ``CALLED``), then those with the words in their
titles (``TITLED``), then the others (``RECENT``), all with the last edited first. For these,
:class:`_Broad` reads the notes from the last edited on, some thousand per page. So a search costs
at most the lookup of its terms and the text of some thousand notes, whatever the number of notes,
and the last page costs as much as the first one.

A :class:`Place` is where a page ended: its order, the score or time of the last note, and its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Left, StrIndex
from django.db.models.lookups import GreaterThan, LessThan

from accounts.callers import Caller
from notes.models import IndexedNote
from notes.models.searches import IndexedNoteQuerySet
from notes.search import ranking, terms
from notes.search.grammar import Edited, Search, Term, Words
from notes.search.terms import Condition, Needle, Notes

RANKED = 500
# Characters of a note's text that are read for its rank.
LOOKED_AT = 4000
# A page of a broad search reads at most STEPS steps of STEP notes, or of STEP_OF_TEXTS notes if it
# needs their text.
STEP, STEP_OF_TEXTS, STEPS = 2000, 500, 8
# The orders, as in cursors: by score; notes of the title; matches in titles; other matches. All but
# the first by last edit.
SCORE, CALLED, TITLED, RECENT = "score", "called", "titled", "recent"
ORDERS = (SCORE, CALLED, TITLED, RECENT)
TEXT = (Left("words", LOOKED_AT), Left("stems", LOOKED_AT), F("title_key"))


@dataclass(frozen=True)
class Plan:
    """The conditions of a search on the index.

    A note matches if ``terms``, ``cheap`` and ``exact`` hold. ``exact`` reads the note's text; it
    is None if the other two are enough. ``titled`` is the condition on terms with the words in the
    title, None for a search without words. ``needles`` are the words for ranking. Notes whose title
    is the whole query, of which ``title_key`` is the key, come first.
    """

    terms: Condition
    titled: Condition | None
    cheap: Q
    exact: Q | None
    needles: tuple[Needle, ...]
    title_key: str

    @property
    def is_of_terms_alone(self) -> bool:
        """Whether ``terms`` is the only condition."""
        return not self.cheap and self.exact is None


@dataclass(frozen=True)
class Place:
    """Where a page ended: the id ``key`` of the last note and its score or time (``value``)."""

    order: str
    value: Any
    key: int


@dataclass(frozen=True)
class Page:
    """The ids of notes in order, and where the page ended; None if there are no more."""

    ids: Sequence[int]
    end: Place | None


def plan(search: Search, *, owner: int, language: str) -> Plan:
    """Return the plan of a search for notes of an owner."""
    notes = terms.about(search, owner=owner)
    cheap, exact = Q(), Q()
    for clause in search.clauses:
        conditions = [(term, *terms.condition(notes, term.leaf, language)) for term in clause]
        if all(is_all for _, _, is_all in conditions):
            continue
        clause_holds = Q()
        for term in clause:
            clause_holds |= _holds(term, notes, language)
        if all(isinstance(term.leaf, Edited) or is_all for term, _, is_all in conditions):
            cheap &= clause_holds
        else:
            exact &= clause_holds
    word_leaves = wanted_words(search)
    titled = None
    if word_leaves:
        in_titles = tuple(tuple(map(_in_title, clause)) for clause in search.clauses)
        titled = _on_terms(Search(in_titles), notes, language)
    needles = tuple(dict.fromkeys(terms.needle(leaf, language) for leaf in word_leaves))
    on_terms, title_key = _on_terms(search, notes, language), terms.title_key(search.text)
    if not search.is_of_words and title_key:
        on_title, is_called = notes.are_called(search.text), Q(title_key=title_key)
        on_terms = terms.some([on_terms, on_title]) if search.clauses else on_title
        cheap, exact = (each and each | is_called for each in (cheap, exact))
    return Plan(on_terms, titled, cheap, exact or None, needles, title_key)


def _on_terms(search: Search, notes: Notes, language: str) -> Condition:
    """Return a search as a condition on terms, which may hold for more notes than the search.

    Clauses that terms cannot express are left out.
    """
    everything = notes.have(terms.NOTE)
    required, without = [], []
    for clause in search.clauses:
        conditions = [(term, *terms.condition(notes, term.leaf, language)) for term in clause]
        usable = [
            (term, condition)
            for term, condition, is_all in conditions
            if condition is not None and (is_all or term.is_wanted)
        ]
        if len(usable) < len(conditions):
            continue
        if len(usable) == 1 and not usable[0][0].is_wanted:
            without.append(usable[0][1])
            continue
        alternatives = [c if term.is_wanted else terms.but(everything, c) for term, c in usable]
        required.append(terms.some(alternatives))
    combined = terms.every(required or [everything])
    return terms.but(combined, terms.some(without)) if without else combined


def _in_title(term: Term) -> Term:
    if isinstance(term.leaf, Words) and term.is_wanted:
        return replace(term, leaf=replace(term.leaf, in_title=True))
    return term


def wanted_words(search: Search) -> list[Words]:
    """Return the words of a search that are not negated."""
    leaves = [term.leaf for clause in search.clauses for term in clause if term.is_wanted]
    return [leaf for leaf in leaves if isinstance(leaf, Words)]


def to_sql(condition: Condition) -> str:
    """Return a condition in the syntax of the database."""
    return condition.tsquery if connection.vendor == "postgresql" else condition.fts5


def find(plan: Plan, *, caller: Caller, after: Place | None, limit: int) -> Page:
    """Return a page of the notes that match a plan and that a user may see."""
    indexed = IndexedNote.objects.visible_to(caller).filter(plan.cheap)
    is_first = after is None and not _is_surely_broad(plan, indexed, caller)
    if is_first or (after is not None and after.order == SCORE):
        matching = candidates(indexed.filter(terms__matches=to_sql(plan.terms)))
        rows = list(matching.values_list("pk", *TEXT, _flag(plan.exact)))
        if len(rows) <= RANKED or after is not None:
            matches = [ranking.Candidate(*row[:4]) for row in rows if row[4]]
            return ranked(matches, plan, after=after, limit=limit)
    return _Broad(plan, caller).page(after, limit)


def _is_surely_broad(plan: Plan, indexed: IndexedNoteQuerySet, caller: Caller) -> bool:
    """Return whether too many of the last edited notes match for the search to be ranked.

    Checking these notes is faster than looking up a term that most notes have.
    """
    newest = indexed.in_order(caller).order_by("-edited_at", "-pk")
    is_shown = Case(When(terms__shows=to_sql(plan.terms), then=1), output_field=IntegerField())
    counts = newest.annotate(is_shown=is_shown)[:STEP].aggregate(number=Count("is_shown"))
    return bool(counts["number"] > RANKED)


def candidates(matching: QuerySet[IndexedNote]) -> QuerySet[IndexedNote]:
    """Return the rows to rank, and one more if there are too many."""
    return matching[: RANKED + 1]


def ranked(
    matches: Sequence[ranking.Candidate],
    plan: Plan,
    *,
    after: Place | None,
    limit: int,
) -> Page:
    """Return a page of candidates by their rank."""
    scored = ranking.scores(matches, plan.needles, plan.title_key)
    order = sorted(((score, note_id) for note_id, score in scored.items()), reverse=True)
    if after is not None:
        # Writes in between may have changed all scores, but hardly their order.
        place = next((at for at, (_, pk) in enumerate(order) if pk == after.key), None)
        if place is None:
            order = [each for each in order if each < (after.value, after.key)]
        else:
            order = order[place + 1 :]
    page = order[:limit]
    end = Place(SCORE, *page[-1]) if len(order) > limit else None
    return Page([note_id for _, note_id in page], end)


@dataclass(frozen=True)
class _Broad:
    """A search that matches too many notes to be ranked."""

    plan: Plan
    caller: Caller

    def page(self, after: Place | None, limit: int) -> Page:
        """Return a page; it may be short, with more to come after it."""
        titled, ids = self.plan.titled, list[int]()
        place = after or Place(CALLED, None, 0)
        if place.order == CALLED:
            page = self._called(place, limit)
            ids, place = [*page.ids], Place(TITLED if titled else RECENT, None, 0)
            if page.end is not None or len(ids) == limit:
                return Page(ids, page.end or place)
        if place.order == TITLED and titled:
            page = self._matching(titled, place, limit - len(ids))
            ids, place = [*ids, *page.ids], Place(RECENT, None, 0)
            if page.end is not None or len(ids) == limit:
                return Page(ids, page.end or place)
        others = terms.but(self.plan.terms, titled) if titled else self.plan.terms
        page = self._matching(others, place, limit - len(ids))
        return Page([*ids, *page.ids], page.end)

    def _called(self, place: Place, limit: int) -> Page:
        """Return the next notes whose title is the query."""
        rows = (
            self._after(place)
            .in_order(self.caller)
            .filter(title_key=self.plan.title_key, terms__shows=to_sql(self.plan.terms))
        )
        rows = rows.filter(self.plan.exact or Q()).order_by("-edited_at", "-pk")
        matches = list(rows.values_list("edited_at", "pk")[: limit + 1])
        end = Place(place.order, *matches[limit - 1]) if len(matches) > limit else None
        return Page([pk for _, pk in matches[:limit]], end)

    def _matching(self, condition: Condition, place: Place, limit: int) -> Page:
        """Return the next notes for which a condition holds, the last edited first.

        Reads one step of notes. If that is not enough, and few other notes match, they are found
        by their terms; else the other steps are read.
        """
        begun = self._walk(condition, place, limit, steps=1)
        if begun.end is None or len(begun.ids) == limit:
            return begun
        matching = self._beyond(begun.end).filter(terms__matches=to_sql(condition))
        rows = matching.values_list("edited_at", "pk", _flag(self.plan.exact))[: RANKED + 1]
        rest = sorted(((at, pk) for at, pk, holds in rows if holds), reverse=True)
        room = limit - len(begun.ids)
        if len(rows) > RANKED:
            page = self._walk(condition, begun.end, room, steps=STEPS - 1)
            return Page([*begun.ids, *page.ids], page.end)
        end = Place(place.order, *rest[room - 1]) if len(rest) > room else None
        return Page([*begun.ids, *(pk for _, pk in rest[:room])], end)

    def _walk(self, condition: Condition, place: Place, limit: int, *, steps: int) -> Page:
        """Return the next notes for which a condition holds; reads at most so many steps."""
        ids: list[int] = []
        for _ in range(steps):
            rows = self._beyond(place).in_order(self.caller).order_by("-edited_at", "-pk")
            step = STEP if self.plan.exact is None else STEP_OF_TEXTS
            end = rows.values_list("edited_at", "pk")[step - 1 : step].first()
            if end is not None:
                at, key = end
                rows = rows.filter(Q(edited_at__gte=at), Q(edited_at__gt=at) | Q(pk__gte=key))
            rows = rows.filter(self.plan.exact or Q(), terms__shows=to_sql(condition))
            matches = list(rows.values_list("edited_at", "pk")[: limit - len(ids)])
            ids += [pk for _, pk in matches]
            if len(ids) == limit:
                return Page(ids, Place(place.order, *matches[-1]))
            if end is None:
                return Page(ids, None)
            place = Place(place.order, *end)
        return Page(ids, place)

    def _beyond(self, place: Place) -> IndexedNoteQuerySet:
        return self._after(place).exclude(title_key=self.plan.title_key)

    def _after(self, place: Place) -> IndexedNoteQuerySet:
        indexed = IndexedNote.objects.visible_to(self.caller).filter(self.plan.cheap)
        if place.value is None:
            return indexed
        at = place.value
        return indexed.filter(Q(edited_at__lte=at), Q(edited_at__lt=at) | Q(pk__lt=place.key))


def _flag(exact: Q | None) -> Any:
    if exact is None:
        return Value(True, BooleanField())  # noqa: FBT003 - it is what the flag says
    return Case(When(exact, then=Value(True)), default=Value(False), output_field=BooleanField())  # noqa: FBT003 - it is what the flag says


def _holds(term: Term, notes: Notes, language: str) -> Q:
    """Return a term as a filter of rows of the index; it may read their text."""
    leaf = term.leaf
    if isinstance(leaf, Edited):
        start = leaf.starts_at
        holds = Q(edited_at__lt=start) if leaf.is_before else Q(edited_at__gte=start)
        return holds if term.is_wanted else ~holds
    condition, is_all = terms.condition(notes, leaf, language)
    if is_all and condition is not None:
        holds = Q(terms__shows=to_sql(condition))
    else:
        assert isinstance(leaf, Words)
        holds = _reads(terms.needle(leaf, language))
    return holds if term.is_wanted else ~holds


def _reads(needle: Needle) -> Q:
    at = StrIndex("words", Value(needle.text))
    holds = Q(GreaterThan(at, 0))
    if needle.in_title:  # the first line
        holds &= Q(LessThan(at, StrIndex(F("words"), Value("\n"))))
    return holds
