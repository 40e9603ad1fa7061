"""The content of the search index, and conditions on it. Pure functions.

A note is found by its terms. Each term begins with the note's owner, so a search never reads what
others have written, not even to skip it. Both databases have the same terms, PostgreSQL as a
``tsvector`` and SQLite in an FTS5 table; a :class:`Condition` has the syntax of each. The index
also has the note's text, prepared (:func:`prepare`), for what terms cannot decide: whether words
follow each other, and how often they occur.
"""

import hashlib
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accounts import categories
from accounts.identifiers import fold as fold_name
from notes.search import words
from notes.search.grammar import TRASHED, Edited, InCategory, Leaf, Marked, Search, Tagged, Words
from notes.search.words import Word

# Increase this when the same note gets other terms or links: every index is then made again.
FORMAT = 4
# PostgreSQL accepts less than 1 MiB per note: some 80,000 different words.
MAX_TERM_BYTES = 900_000
FEWEST_OF_A_PREFIX = 2
DIGITS = string.digits + string.ascii_lowercase
# The kinds of terms: words and stems, anywhere and in the title; tags, categories, marks, titles.
WORD, STEM = "w", "s"
TITLE_WORD, TITLE_STEM = "t", "u"
TAG, CATEGORY, MARK = "g", "c", "m"
# The whole title.
TITLE = "h"
# Every note has this one.
NOTE = "mnote"


class Prepared(NamedTuple):
    """The content of the index for one note.

    ``terms`` are separated by blanks. ``words`` and ``stems`` have four lines: title, tags, file
    names, content, with a blank before and after each word. Without word forms ``stems`` is empty.
    """

    terms: str
    words: str
    stems: str


def prepare(
    *,
    owner: int,
    title: str,
    parts: Sequence[str],
    tags: Iterable[str] = (),
    category: str = "",
    marks: Iterable[str] = (),
    is_trashed: bool = False,
    language: str,
) -> Prepared:
    """Return the content of the index for a note.

    ``parts`` are the title, tags, file names and content as text.
    """
    lines = [words.read(part, language) for part in parts]
    names = [NOTE, *(f"{MARK}{mark}" for mark in marks)]
    if key := title_key(title):
        names.append(f"{TITLE}{key}")
    names += map(tag, tags)
    names += [f"{CATEGORY}{_digest(above)}" for above in _upwards(category)]
    names += _named(lines[0], TITLE_WORD, TITLE_STEM)
    for line in lines:
        names += _named(line, WORD, STEM)
    start = prefix(owner, is_trashed=is_trashed)
    return Prepared(
        " ".join(_within_limit(f"{start}{name}" for name in dict.fromkeys(names))),
        _join([[word.folded for word in line] for line in lines]),
        "" if language == words.SIMPLE else _join([[word.stem for word in line] for line in lines]),
    )


def _named(line: Iterable[Word], word_kind: str, stem_kind: str) -> Iterable[str]:
    for word in dict.fromkeys(line):
        if words.is_unspaced(word.folded):
            yield from (f"{word_kind}{pair}" for pair in words.pairs(word.folded))
            continue
        yield f"{word_kind}{word.folded}"
        if word.stem != word.folded:
            yield f"{stem_kind}{word.stem}"


def _within_limit(terms: Iterable[str]) -> Iterable[str]:
    size = 0
    for term in terms:
        size += len(term.encode())
        if size > MAX_TERM_BYTES:
            return
        yield term


def _join(lines: Iterable[Iterable[str]]) -> str:
    return "\n".join(f" {' '.join(line)} " for line in lines)


def prefix(owner: int, *, is_trashed: bool = False) -> str:
    """Return the prefix of the terms of an owner's notes; notes in the trash have another one."""
    digits = ""
    while owner:
        owner, digit = divmod(owner, len(DIGITS))
        digits = DIGITS[digit] + digits
    return f"{digits}{'//' if is_trashed else '/'}"


def title_key(title: str) -> str:
    """Return the key of a title, '' if it is empty; links treat titles of one key as equal."""
    return _digest(title) if title.strip() else ""


def tag(name: str) -> str:
    """Return the term of a tag."""
    return f"{TAG}{_digest(name)}"


def word(folded: str) -> str:
    """Return the term of a word that is anywhere in a note."""
    return f"{WORD}{folded}"


def _digest(name: str) -> str:
    """Return a digest of a name for a term, because a name may have any characters."""
    plain = fold_name(" ".join(name.split()))
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


def _upwards(category: str) -> Iterable[str]:
    names = category.split(categories.SEPARATOR)
    return [categories.SEPARATOR.join(names[: n + 1]) for n in range(len(names)) if category]


@dataclass(frozen=True)
class Condition:
    """A condition on the terms of a note, in the syntax of both databases."""

    tsquery: str
    fts5: str


@dataclass(frozen=True)
class Notes:
    """The notes that are searched: an owner's live ones, and with ``with_trash`` the trash too."""

    owner: int
    with_trash: bool

    def have(self, term: str, *, is_prefix: bool = False) -> Condition:
        """Return the condition that a note has a term, or one that begins with it."""
        conditions = [self._has(prefix(self.owner), term, is_prefix=is_prefix)]
        if self.with_trash:
            trash = prefix(self.owner, is_trashed=True)
            conditions.append(self._has(trash, term, is_prefix=is_prefix))
        return some(conditions)

    def are_called(self, title: str) -> Condition:
        """Return the condition that a note has this title; it is not empty."""
        return self.have(f"{TITLE}{title_key(title)}")

    def are_trashed(self) -> Condition:
        """Return the condition that a note is in the trash."""
        return self._has(prefix(self.owner, is_trashed=True), NOTE)

    @staticmethod
    def _has(start: str, term: str, *, is_prefix: bool = False) -> Condition:
        name = f"{start}{term}"
        return Condition(f"'{name}'{':*' * is_prefix}", f'"{name}"{" *" * is_prefix}')


def about(search: Search, *, owner: int) -> Notes:
    """Return the notes of an owner that are searched."""
    return Notes(owner, with_trash=search.with_trash)


def every(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that all of these hold; there must be at least one."""
    return _joined(conditions, " & ", " AND ")


def some(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that at least one of these holds."""
    return _joined(conditions, " | ", " OR ")


def _joined(conditions: Sequence[Condition], tsquery: str, fts5: str) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    return Condition(
        f"({tsquery.join(each.tsquery for each in conditions)})",
        f"({fts5.join(each.fts5 for each in conditions)})",
    )


def but(condition: Condition, without: Condition) -> Condition:
    """Return the condition that the first one holds and the second one does not."""
    return Condition(
        f"({condition.tsquery} & !{without.tsquery})", f"({condition.fts5} NOT {without.fts5})"
    )


class Needle(NamedTuple):
    """The text to look for in a line of the prepared words, and in one of the stems ('': none).

    A word of an unspaced script is also found within other words.
    """

    text: str
    stem: str
    in_title: bool


def needle(leaf: Words, language: str) -> Needle:
    """Return the needle of a leaf: the text to look for in prepared notes."""
    leaf_words = words.read(leaf.text, language)
    before = "" if words.is_unspaced(leaf_words[0].folded) else " "
    after = "" if words.is_unspaced(leaf_words[-1].folded) or is_open(leaf, leaf_words) else " "
    text = f"{before}{' '.join(word.folded for word in leaf_words)}{after}"
    has_stem = len(leaf_words) == 1 and not leaf.is_exact and language != words.SIMPLE
    return Needle(text, f" {leaf_words[0].stem} " if has_stem else "", leaf.in_title)


def is_open(leaf: Words, leaf_words: Sequence[Word]) -> bool:
    """Return whether words that are longer than the last one match too."""
    return leaf.is_prefix and len(leaf_words[-1].folded) >= FEWEST_OF_A_PREFIX


def condition(notes: Notes, leaf: Leaf, language: str) -> tuple[Condition | None, bool]:
    """Return the condition of a leaf on terms, and whether it is exact.

    If it is not exact, it also holds for other notes, and their text has to be read. None means
    that terms cannot exclude any note.
    """
    if isinstance(leaf, Edited):
        return None, False
    if isinstance(leaf, Tagged):
        return notes.have(tag(leaf.name)), True
    if isinstance(leaf, InCategory):
        return notes.have(f"{CATEGORY}{_digest(leaf.category)}"), True
    if isinstance(leaf, Marked):
        if leaf.mark == TRASHED:
            return notes.are_trashed(), True
        return notes.have(f"{MARK}{leaf.mark}"), True
    return _words_condition(notes, leaf, language)


def _words_condition(notes: Notes, leaf: Words, language: str) -> tuple[Condition, bool]:
    kind, stem_kind = (TITLE_WORD, TITLE_STEM) if leaf.in_title else (WORD, STEM)
    leaf_words = words.read(leaf.text, language)
    conditions, is_all = [], len(leaf_words) == 1
    for number, word in enumerate(leaf_words, 1):
        is_last = number == len(leaf_words)
        if words.is_unspaced(word.folded):
            # Other letters may follow the last one.
            parts = words.pairs(word.folded)[:-1] or [word.folded]
            is_all = is_all and len(parts) == 1
            conditions += [notes.have(f"{kind}{p}", is_prefix=len(p) == 1) for p in parts]
            continue
        is_prefix = is_last and is_open(leaf, leaf_words)
        forms = [notes.have(f"{kind}{word.folded}", is_prefix=is_prefix)]
        if language != words.SIMPLE and not leaf.is_exact and len(leaf_words) == 1:
            if word.stem != word.folded:
                forms.append(notes.have(f"{kind}{word.stem}"))
            forms.append(notes.have(f"{stem_kind}{word.stem}"))
        conditions.append(some(forms))
    return every(conditions), is_all
