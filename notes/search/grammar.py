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

A query that breaks these rules raises :class:`BrokenQuery` with the position. Ignoring the broken
part would find notes that nobody asked for.
"""

import datetime as dt
import re
from dataclasses import dataclass

from accounts import categories
from cloudnotes.api.errors import DomainError
from notes.search import words

MAX_QUERY_LENGTH = 200
TRASHED = "trashed"
FLAGS = ("favorite", "archived", TRASHED)
PARTS = ("file",)
OPERATORS = ("tag", "in", "is", "has", "before", "after", "title")

SPACE = re.compile(r"\s*")
NAME = re.compile(r"([^\W\d_]+):")
QUOTED = re.compile(r'"([^"]*)"')
PLAIN = re.compile(r'[^\s"]+')
OR = re.compile(r"OR(?=\s|$)")
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
    """A query: in each clause, at least one term has to hold."""

    clauses: tuple[tuple[Term, ...], ...]

    def leaves(self) -> list[Leaf]:
        """Return all conditions in the order of the text."""
        return [term.leaf for clause in self.clauses for term in clause]

    @property
    def with_trash(self) -> bool:
        """Whether it searches the trash too: it does if it has ``is:trashed``."""
        return Marked(TRASHED) in self.leaves()


def parse(text: str) -> Search:
    """Parse a query of 1 to 200 characters into its tree. Raises :class:`BrokenQuery`."""
    if len(text) > MAX_QUERY_LENGTH:
        raise BrokenQuery(f"A query has at most {MAX_QUERY_LENGTH} characters.", MAX_QUERY_LENGTH)
    clauses: list[tuple[Term, ...]] = []
    or_at = None
    at = _after_space(text, 0)
    if at == len(text):
        raise BrokenQuery("Say what to look for.", at)
    while at < len(text):
        if OR.match(text, at):
            if or_at is not None or not clauses:
                raise BrokenQuery("OR stands between two terms: `this OR that`.", at)
            or_at, at = at, _after_space(text, at + len("OR"))
            continue
        term, at = _term(text, at)
        if or_at is None:
            clauses.append((term,))
        else:
            clauses[-1] = (*clauses[-1], term)
        or_at, at = None, _after_space(text, at)
    if or_at is not None:
        raise BrokenQuery("After OR another term is missing.", or_at)
    return Search(tuple(clauses))


def _after_space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _term(text: str, at: int) -> tuple[Term, int]:
    """Return the term that begins at ``at`` and the position after it."""
    is_wanted = True
    if text[at] == "-" and text[at + 1 : at + 2].strip():
        is_wanted, at = False, at + 1
    name = NAME.match(text, at)
    leaf: Leaf
    if name is None:
        leaf, at = _words(text, at, in_title=False)
    elif (operator := name[1].lower()) in OPERATORS:
        leaf, at = _operator(operator, text, name.end())
    else:
        names = ", ".join(f"{each}:" for each in OPERATORS)
        raise BrokenQuery(
            f"There is no operator {name[0]} (there are {names}). To find it as text, quote it.", at
        )
    return Term(leaf, is_wanted), at


def _operator(operator: str, text: str, at: int) -> tuple[Leaf, int]:
    began = at
    value, at, _ = _value(text, at)
    if not value.strip():
        raise BrokenQuery(f"After {operator}: something is missing.", began)
    if operator == "title":
        return _words(text, began, in_title=True)
    if operator == "tag":
        return Tagged(value), at
    if operator == "in":
        try:
            return InCategory(categories.parse(value)), at
        except categories.InvalidCategory as error:
            raise BrokenQuery(str(error), began) from None
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
    if quoted := QUOTED.match(text, at):
        return quoted[1], quoted.end(), True
    if text[at : at + 1] == '"':
        raise BrokenQuery("The quotation mark is never closed.", at)
    plain = PLAIN.match(text, at)
    return (plain[0], plain.end(), False) if plain else ("", at, False)


def _words(text: str, began: int, *, in_title: bool) -> tuple[Words, int]:
    value, end, is_quoted = _value(text, began)
    if not words.read(value):
        raise BrokenQuery(
            "There is no word in this. A word has letters, digits or pictographs.", began
        )
    is_last = end == len(text)
    return Words(value, is_last and not is_quoted, is_exact=is_quoted, in_title=in_title), end
