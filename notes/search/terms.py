"""What the index of searches holds of a note, and what a query asks of it. Pure.

A note is found by its terms, each of which begins with its owner: nobody's search reads what others
have written, not even to leave it out. Both databases keep the same terms, PostgreSQL as a
``tsvector`` and SQLite in an FTS5 table, and are asked the same :class:`Condition` in their own
words. Beside the terms stands the note's text, prepared (:func:`prepare`), for what terms cannot
say: that words follow each other, and how often they come.
"""

import hashlib
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accounts import categories
from accounts.identifiers import fold as fold_name
from notes.search import words
from notes.search.grammar import TRASHED, BulkResult, Edited, Leaf, Marked, Search, Tagged, Words
from notes.search.words import Word

# Raised whenever other terms or links are made of the same note: every index is then made anew.
FORMAT = 2
# What PostgreSQL takes of one note is below 1 MiB: some 80,000 different words.
MAX_TERM_BYTES = 900_000
FEWEST_OF_A_PREFIX = 2
DIGITS = string.digits + string.ascii_lowercase
# The kinds of terms: of words and their stems, anywhere and in the title, and what else is known.
WORD, STEM = "w", "s"
TITLE_WORD, TITLE_STEM = "t", "u"
TAG, CATEGORY, MARK = "g", "c", "m"
# Every note has this one.
NOTE = "mnote"


class Prepared(NamedTuple):
    """What the index holds of a note.

    ``terms`` have blanks between them. ``words`` and ``stems`` have four lines: title, tags, name
    of the file, content; a blank stands before and after each word. Without word forms ``stems``
    is empty.
    """

    terms: str
    words: str
    stems: str


def prepare(
    *,
    owner: int,
    parts: Sequence[str],
    tags: Iterable[str] = (),
    category: str = "",
    marks: Iterable[str] = (),
    is_trashed: bool = False,
    language: str,
) -> Prepared:
    """Return what the index holds of a note.

    ``parts`` are title, tags, name of the file and content as text.
    """
    lines = [words.read(part, language) for part in parts]
    names = [NOTE, *(f"{MARK}{mark}" for mark in marks)]
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
    """Return what the terms of an owner's notes begin with, of those in the trash another one."""
    digits = ""
    while owner:
        owner, digit = divmod(owner, len(DIGITS))
        digits = DIGITS[digit] + digits
    return f"{digits}{'//' if is_trashed else '/'}"


def title_key(title: str) -> str:
    """Return what titles have in common that links take for the same one; '' for none."""
    return _digest(title) if title.strip() else ""


def tag(name: str) -> str:
    """Return the term of a tag."""
    return f"{TAG}{_digest(name)}"


def word(folded: str) -> str:
    """Return the term of a word, anywhere in a note."""
    return f"{WORD}{folded}"


def _digest(name: str) -> str:
    """Return what stands for a name, which may have any characters, in a term."""
    plain = fold_name(" ".join(name.split()))
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


def _upwards(category: str) -> Iterable[str]:
    names = category.split(categories.SEPARATOR)
    return [categories.SEPARATOR.join(names[: n + 1]) for n in range(len(names)) if category]


@dataclass(frozen=True)
class Condition:
    """A condition on the terms of a note, in the words of both databases."""

    tsquery: str
    fts5: str


@dataclass(frozen=True)
class Notes:
    """The notes that a search is about: an owner's live ones, and the trash if it names that."""

    owner: int
    with_trash: bool

    def have(self, term: str, *, is_prefix: bool = False) -> Condition:
        """Return the condition that a note has a term, or one that begins so."""
        conditions = [self._has(prefix(self.owner), term, is_prefix=is_prefix)]
        if self.with_trash:
            trash = prefix(self.owner, is_trashed=True)
            conditions.append(self._has(trash, term, is_prefix=is_prefix))
        return some(conditions)

    def are_trashed(self) -> Condition:
        """Return the condition that a note is in the trash."""
        return self._has(prefix(self.owner, is_trashed=True), NOTE)

    @staticmethod
    def _has(start: str, term: str, *, is_prefix: bool = False) -> Condition:
        name = f"{start}{term}"
        return Condition(f"'{name}'{':*' * is_prefix}", f'"{name}"{" *" * is_prefix}')


def about(search: Search, *, owner: int) -> Notes:
    """Return the notes of an owner that a search is about."""
    return Notes(owner, with_trash=search.with_trash)


def every(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that all of some, one at least, hold."""
    return _joined(conditions, " & ", " AND ")


def some(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that one of some holds."""
    return _joined(conditions, " | ", " OR ")


def _joined(conditions: Sequence[Condition], tsquery: str, fts5: str) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    return Condition(
        f"({tsquery.join(each.tsquery for each in conditions)})",
        f"({fts5.join(each.fts5 for each in conditions)})",
    )


def but(condition: Condition, without: Condition) -> Condition:
    """Return the condition that the first holds and the second does not."""
    return Condition(
        f"({condition.tsquery} & !{without.tsquery})", f"({condition.fts5} NOT {without.fts5})"
    )


class Needle(NamedTuple):
    """How words look in a line of the prepared text, and in that of stems, '' if not there.

    A word that is written without blanks is found within others.
    """

    text: str
    stem: str
    in_title: bool


def needle(leaf: Words, language: str) -> Needle:
    """Return what to look for in the prepared text of notes."""
    leaf_words = words.read(leaf.text, language)
    before = "" if words.is_unspaced(leaf_words[0].folded) else " "
    after = "" if words.is_unspaced(leaf_words[-1].folded) or is_open(leaf, leaf_words) else " "
    text = f"{before}{' '.join(word.folded for word in leaf_words)}{after}"
    has_stem = len(leaf_words) == 1 and not leaf.is_exact and language != words.SIMPLE
    return Needle(text, f" {leaf_words[0].stem} " if has_stem else "", leaf.in_title)


def is_open(leaf: Words, leaf_words: Sequence[Word]) -> bool:
    """Return whether longer words than the last one do too."""
    return leaf.is_prefix and len(leaf_words[-1].folded) >= FEWEST_OF_A_PREFIX


def condition(notes: Notes, leaf: Leaf, language: str) -> tuple[Condition | None, bool]:
    """Return the condition on terms of a leaf, and whether it is all that the leaf says.

    Where it is not, the notes that are wanted are among those for which it holds; None for any.
    """
    if isinstance(leaf, Edited):
        return None, False
    if isinstance(leaf, Tagged):
        return notes.have(tag(leaf.name)), True
    if isinstance(leaf, BulkResult):
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
            # The last letter may have others after it.
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
