"""The query language of searches: parse a text into a tree.

::

    query    = clause {clause}                    all of them hold
    clause   = term {"OR" term}                   at least one of them holds
    term     = ["-"] (phrase | operator | word)   "-" negates the term
    phrase   = '"' text '"'                       these words one after the other
    operator = name ":" (phrase | value)          see OPERATORS

``OR`` binds more tightly than the implicit AND, as in other search boxes: ``report 2025 OR 2026``
finds reports of either year. The last word of a query also matches longer words, because the user
may still be typing it.

Ordinary text is a query too, also while it is typed. What has no letter, digit or pictograph, such
as ``&`` or ``-``, is passed over. A quotation mark opens a phrase at the beginning of a term only,
and a phrase that is not closed ends with the query. ``OR`` without a term on either side is a word,
and so is a name with a colon that is no operator, or has no value. A note whose title is the whole
query is found whatever the query means.

Only an operator with a bad value raises :class:`BrokenQuery`, with the position. Ignoring it would
find notes that nobody asked for.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from accounts import categories
from cloudnotes.api.errors import DomainError
from notes.search import words

MAX_QUERY_LENGTH = 200
TRASHED = "trashed"
FLAGS = ("favorite", "archived", TRASHED)
PARTS = ("file",)
OPERATORS = ("tag", "in", "is", "has", "before", "after", "title")

SPACE = re.compile(r"\s*")
OPERATOR = re.compile(rf"({'|'.join(OPERATORS)}):(?=\S)", re.IGNORECASE | re.ASCII)
# What opens a phrase, and what closes it then.
QUOTES = {'"': '"', "“": '”“"', "”": '”“"', "„": '”“"', "«": "»", "»": "«"}
PLAIN = re.compile(r"\S+")
OR = "OR"
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class BrokenQuery(DomainError):
    """A query does not follow the grammar; ``position`` is in characters from 0."""

    status = 400
    code = "broken_query"
    field = "q"

    def __init__(self, detail: str, position: int) -> None:
        super().__init__(detail)
        self.members = {"position": position}


@dataclass(frozen=True)
class Words:
    """Words that follow each other; with ``is_prefix`` the last of them may be longer.

    With ``is_exact`` no other forms of a word match; with ``in_title`` only titles are searched.
    """

    text: str
    is_prefix: bool = False
    is_exact: bool = False
    in_title: bool = False


@dataclass(frozen=True)
class Tagged:
    """The note has a tag of this name."""

    name: str


@dataclass(frozen=True)
class InCategory:
    """The note is in this category or below it, whatever the spelling."""

    category: str


@dataclass(frozen=True)
class Marked:
    """The note is a ``favorite``, ``archived`` or ``trashed``, or has a ``file``."""

    mark: str


@dataclass(frozen=True)
class Edited:
    """The note was last edited before the beginning of a day (UTC), or at or after it."""

    day: dt.date
    is_before: bool

    @property
    def starts_at(self) -> dt.datetime:
        """The beginning of the day."""
        return dt.datetime.combine(self.day, dt.time(), dt.UTC)


Leaf = Words | Tagged | InCategory | Marked | Edited


@dataclass(frozen=True)
class Term:
    """One condition, or its negation if not ``is_wanted``."""

    leaf: Leaf
    is_wanted: bool = True


@dataclass(frozen=True)
class Search:
    """A query, whose whole text is ``text``: in each clause, at least one term has to hold."""

    clauses: tuple[tuple[Term, ...], ...]
    text: str = field(default="", compare=False)

    def leaves(self) -> list[Leaf]:
        """Return all conditions in the order of the text."""
        return [term.leaf for clause in self.clauses for term in clause]

    @property
    def is_of_words(self) -> bool:
        """Whether every note holds that has the words of the text in its title."""
        terms = [clause[0] for clause in self.clauses if len(clause) == 1]
        return len(terms) == len(self.clauses) > 0 and all(
            term.is_wanted and isinstance(term.leaf, Words) for term in terms
        )

    @property
    def with_trash(self) -> bool:
        """Whether it searches the trash too: it does if it has ``is:trashed``."""
        return Marked(TRASHED) in self.leaves()


def parse(text: str) -> Search:
    """Parse a query of 1 to 200 characters into its tree. Raises :class:`BrokenQuery`.

    Without a word in it there are no clauses.
    """
    if len(text) > MAX_QUERY_LENGTH:
        raise BrokenQuery(f"A query has at most {MAX_QUERY_LENGTH} characters.", MAX_QUERY_LENGTH)
    if not text.strip():
        raise BrokenQuery("Say what to look for.", len(text))
    terms = list(_terms(text))
    clauses: list[tuple[Term, ...]] = []
    is_alternative = False
    for at, term in enumerate(terms):
        if term == Term(Words(OR)) and clauses and not is_alternative and at + 1 < len(terms):
            is_alternative = True
            continue
        if is_alternative:
            clauses[-1] = (*clauses[-1], term)
        else:
            clauses.append((term,))
        is_alternative = False
    return Search(tuple(clauses), text)


def _terms(text: str) -> Iterator[Term]:
    """Yield the terms of a query, ``OR`` as a word."""
    at = _after_space(text, 0)
    while at < len(text):
        term, at = _term(text, at)
        if term is not None:
            yield term
        at = _after_space(text, at)


def _after_space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _term(text: str, at: int) -> tuple[Term | None, int]:
    """Return the term that begins at ``at``, None without a word, and the position after it."""
    is_wanted = True
    if text[at] == "-" and text[at + 1 : at + 2].strip():
        is_wanted, at = False, at + 1
    leaf: Leaf | None
    if operator := OPERATOR.match(text, at):
        leaf, at = _operator(operator[1].lower(), text, operator.end())
    else:
        leaf, at = _words(text, at, in_title=False)
    return (Term(leaf, is_wanted) if leaf else None), at


def _operator(operator: str, text: str, at: int) -> tuple[Leaf, int]:
    began = at
    value, at, _ = _value(text, at)
    if operator == "title":
        leaf, at = _words(text, began, in_title=True)
        if leaf is None:
            raise BrokenQuery("There is no word after title:, only other characters.", began)
        return leaf, at
    if operator == "tag":
        if not value.strip():
            raise BrokenQuery("After tag: something is missing.", began)
        return Tagged(value), at
    if operator == "in":
        try:
            category = categories.parse(value)
        except categories.InvalidCategory as error:
            raise BrokenQuery(str(error), began) from None
        if not category:
            raise BrokenQuery("After in: something is missing.", began)
        return InCategory(category), at
    if operator in ("is", "has"):
        values = FLAGS if operator == "is" else PARTS
        if value.lower() not in values:
            choices = ", ".join(f"{operator}:{each}" for each in values)
            raise BrokenQuery(f"There is no {operator}:{value}; say {choices}.", began)
        return Marked(value.lower()), at
    try:
        day = dt.date.fromisoformat(value if DAY.fullmatch(value) else "")
    except ValueError:
        raise BrokenQuery(f"Say a day as in {operator}:2026-01-31.", began) from None
    return Edited(day, is_before=operator == "before"), at


def _value(text: str, at: int) -> tuple[str, int, bool]:
    """Return the text that begins at ``at``, the position after it and whether it is quoted."""
    if closing := QUOTES.get(text[at]):
        ends = [end for mark in closing if (end := text.find(mark, at + 1)) >= 0]
        end = min(ends, default=len(text))
        return text[at + 1 : end], end + 1, True
    plain = PLAIN.match(text, at)
    return (plain[0], plain.end(), False) if plain else ("", at, False)


def _words(text: str, began: int, *, in_title: bool) -> tuple[Words | None, int]:
    value, end, is_quoted = _value(text, began)
    if not words.read(value):
        return None, end
    # The last word may still be typed; a phrase too, until it is closed.
    is_typed = end > len(text) if is_quoted else end == len(text)
    return Words(value, is_typed, is_exact=is_quoted, in_title=in_title), end
