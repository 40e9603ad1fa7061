"""The notes that a search finds, in the order in which they answer it. Read-only.

What matches at most ``RANKED`` notes is ranked (``notes.search.ranking``). What matches more is too
broad for a rank to tell much: notes with the words in their titles come first, then the others, and
of both the last edited. So no search costs more than to look up its terms, to sort the times of
what has them, and to read the text of some hundred notes, and the last page costs what the first
one does.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Left, StrIndex
from django.db.models.lookups import GreaterThan, LessThan

from accounts.models import User
from notes.models import IndexedNote
from notes.search import ranking, terms
from notes.search.grammar import Edited, Marked, Search, Term, Words
from notes.search.terms import TRASHED, Condition, Needle

RANKED = 500
# Of a note's text, for its rank.
LOOKED_AT = 4000
# How many broad matches a page looks through for what the terms cannot tell.
WALKED, WALKS = 500, 4
# The orders, as cursors name them: by score, or titles before others, each the last edited first.
SCORE, TITLED, RECENT = "score", "titled", "recent"


@dataclass(frozen=True)
class Plan:
    """What a search asks of the index.

    What it wants is among the notes that have ``terms`` and for which ``cheap`` holds, and is those
    of them for which ``exact`` holds, which reads their text; None where the terms say it all.
    ``titled`` is the condition that the words are in the title.
    """

    terms: Condition
    titled: Condition | None
    cheap: Q
    exact: Q | None
    needles: tuple[Needle, ...]

    @property
    def is_of_terms_alone(self) -> bool:
        """Whether nothing but the terms is asked."""
        return not self.cheap and self.exact is None


@dataclass(frozen=True)
class Place:
    """Where a page ended: the note ``key`` with its score or time in an order."""

    order: str
    value: Any
    key: int


@dataclass(frozen=True)
class Page:
    """The ids of notes in their order, and where the page ended if there may be more."""

    ids: Sequence[int]
    end: Place | None


def plan(search: Search, *, owner: int, language: str) -> Plan:
    """Return what a search for notes of an owner asks of the index."""
    everything = terms.everything(owner, search)
    conditions, without, titles = [everything], [], []
    cheap, exact = Q(), Q()
    for clause in search.clauses:
        found = [(term, *terms.condition(owner, term.leaf, language)) for term in clause]
        is_all = all(is_exact for _, _, is_exact in found)
        # Of which the terms rule something out: they must not, where they do not tell.
        if all(c is not None and (is_exact or t.is_wanted) for t, c, is_exact in found):
            told = [(term, c) for term, c, _ in found if c is not None]
            if len(told) == 1 and not told[0][0].is_wanted:
                without.append(told[0][1])
            else:
                each = [c if t.is_wanted else terms.but(everything, c) for t, c in told]
                conditions.append(terms.some(each))
        if not is_all:
            told_q = Q()
            for term in clause:
                told_q |= _holds(term, owner, language)
            if all(isinstance(t.leaf, Edited) or is_exact for t, _, is_exact in found):
                cheap &= told_q
            else:
                exact &= told_q
        in_title = [_titled(owner, t.leaf, language) for t in clause if _names_words(t)]
        if in_title:
            titles.append(terms.some(in_title))
    asked = terms.every(conditions)
    if without:
        asked = terms.but(asked, terms.some(without))
    wanted = [t.leaf for c in search.clauses for t in c if t.is_wanted and _names_words(t)]
    needles = [terms.needle(leaf, language) for leaf in wanted if isinstance(leaf, Words)]
    titled = terms.every([asked, *titles]) if titles else None
    return Plan(asked, titled, cheap, exact or None, tuple(needles))


def includes_trash(search: Search) -> bool:
    """Return whether a search looks into the trash too."""
    return Marked(TRASHED) in search.leaves()


def wanted_words(search: Search) -> list[Words]:
    """Return the words that notes are to have, without those that are to be in titles alone."""
    leaves = [term.leaf for clause in search.clauses for term in clause if term.is_wanted]
    return [leaf for leaf in leaves if isinstance(leaf, Words)]


def spell(condition: Condition) -> str:
    """Return a condition in the words of the database."""
    return condition.tsquery if connection.vendor == "postgresql" else condition.fts5


def find(asked: Plan, *, user: User, after: Place | None, limit: int) -> Page:
    """Return a page of the notes that a user may see and that a plan finds."""
    indexed = IndexedNote.objects.visible_to(user).filter(asked.cheap)
    if after is None or after.order == SCORE:
        candidates = _candidates(indexed.filter(terms__matches=spell(asked.terms)), asked.exact)
        if len(candidates) <= RANKED or after is not None:
            found = [each for each, holds in candidates[:RANKED] if holds]
            return ranked(found, asked.needles, after=after, limit=limit)
    return _walk(asked, indexed, after=after, limit=limit)


def ranked(
    candidates: Sequence[ranking.Candidate],
    needles: Sequence[Needle],
    *,
    after: Place | None,
    limit: int,
) -> Page:
    """Return a page of candidates by their rank."""
    scored = ranking.scores(candidates, needles)
    order = sorted(((score, note_id) for note_id, score in scored.items()), reverse=True)
    if after is not None:
        order = [each for each in order if each < (after.value, after.key)]
    page = order[:limit]
    end = Place(SCORE, *page[-1]) if len(order) > limit else None
    return Page([note_id for _, note_id in page], end)


def candidates_of(indexed: QuerySet[IndexedNote]) -> QuerySet[IndexedNote]:
    """Return those of some matches that are to be ranked, the last edited, and one more."""
    newest = indexed.order_by("-edited_at", "-pk").values("pk")[: RANKED + 1]
    return IndexedNote.objects.filter(pk__in=newest)


TEXT = (Left("words", LOOKED_AT), Left("stems", LOOKED_AT))


def _candidates(
    indexed: QuerySet[IndexedNote], exact: Q | None
) -> list[tuple[ranking.Candidate, bool]]:
    rows = candidates_of(indexed).values_list("pk", *TEXT, _flag(exact))
    return [(ranking.Candidate(*row[:3]), row[3]) for row in rows]


def _flag(exact: Q | None) -> Any:
    if exact is None:
        return Value(True, BooleanField())  # noqa: FBT003 - it is what the flag says
    return Case(When(exact, then=Value(True)), default=Value(False), output_field=BooleanField())  # noqa: FBT003 - it is what the flag says


def _walk(asked: Plan, indexed: QuerySet[IndexedNote], *, after: Place | None, limit: int) -> Page:
    """Return a page of a broad search. It may be short, with more to come after it."""
    place = after or Place(TITLED if asked.titled else RECENT, None, 0)
    ids: list[int] = []
    for _ in range(WALKS):
        steps = WALKED if asked.exact is not None else limit - len(ids) + 1
        rows = _step(asked, indexed, place)[:steps]
        for pk, edited_at, holds in rows:
            if holds and len(ids) == limit:
                return Page(ids, place)
            place = Place(place.order, edited_at, pk)
            if holds:
                ids.append(pk)
        if len(rows) == steps:
            continue
        if place.order == RECENT:
            return Page(ids, None)
        place = Place(RECENT, None, 0)
    return Page(ids, place)


def _step(asked: Plan, indexed: QuerySet[IndexedNote], place: Place) -> Any:
    condition = asked.terms
    if place.order == TITLED and asked.titled:
        condition = asked.titled
    elif asked.titled:
        condition = terms.but(asked.terms, asked.titled)
    rows = indexed.filter(terms__matches=spell(condition))
    if place.value is not None:
        at: dt.datetime = place.value
        rows = rows.filter(Q(edited_at__lte=at), Q(edited_at__lt=at) | Q(pk__lt=place.key))
    return rows.order_by("-edited_at", "-pk").values_list("pk", "edited_at", _flag(asked.exact))


def _names_words(term: Term) -> bool:
    return isinstance(term.leaf, Words) and term.is_wanted


def _titled(owner: int, leaf: Any, language: str) -> Condition:
    condition, _ = terms.condition(owner, replace(leaf, in_title=True), language)
    assert condition is not None
    return condition


def _holds(term: Term, owner: int, language: str) -> Q:
    """Return a term as a condition on rows of the index, which may read their text."""
    leaf = term.leaf
    if isinstance(leaf, Edited):
        start = dt.datetime.combine(leaf.day, dt.time(), dt.UTC)
        told = Q(edited_at__lt=start) if leaf.is_before else Q(edited_at__gte=start)
        return told if term.is_wanted else ~told
    condition, is_all = terms.condition(owner, leaf, language)
    if is_all and condition is not None:
        told = Q(terms__matches=spell(condition))
    else:
        assert isinstance(leaf, Words)
        told = _reads(terms.needle(leaf, language))
    return told if term.is_wanted else ~told


def _reads(needle: Needle) -> Q:
    at = StrIndex("words", Value(needle.text))
    told = Q(GreaterThan(at, 0))
    if needle.in_title:  # the first line
        told &= Q(LessThan(at, StrIndex(F("words"), Value("\n"))))
    return told
