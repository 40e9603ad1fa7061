"""Split text into words as searches compare them. Pure: no database, no HTTP.

A word is a run of letters, digits and marks (Unicode), or one pictograph. It is folded: upper and
lower case, accents and compatibility forms are ignored. In a script without blanks between words, a
run of letters is one word here, and a search for a part of it finds it (:func:`pairs`).

Word forms are those of a snowball stemmer; ``simple`` has none.
"""

import functools
import threading
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import regex
import Stemmer

from cloudnotes.characters import INVISIBLE, fold_for_search

SIMPLE = "simple"
# Longer words are cut to this length, both in the index and in queries.
MAX_LENGTH = 60

UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc\u3005]"
)
TOKEN = regex.compile(
    rf"[\p{{L}}\p{{N}}\p{{M}}]++(?:{INVISIBLE}++[\p{{L}}\p{{N}}\p{{M}}]++)*+"
    r"|\p{Extended_Pictographic}"
)
PIECE = regex.compile(rf"(?V1){UNSPACED}+|[[\p{{L}}\p{{N}}\p{{M}}]--{UNSPACED}]+|\p{{So}}")
IS_UNSPACED = regex.compile(UNSPACED)
_local = threading.local()


class Word(NamedTuple):
    """A folded word and its folded stem."""

    folded: str
    stem: str


class Token(NamedTuple):
    """The words from ``start`` to ``end`` of a text, in characters: one, except for ligatures."""

    start: int
    end: int
    words: tuple[Word, ...]


def is_unspaced(word: str) -> bool:
    """Return whether a folded word is of a script that has no blanks between words."""
    return not word.isascii() and IS_UNSPACED.match(word) is not None


def pairs(word: str) -> list[str]:
    """Return the index terms of an unspaced word: each pair of letters, and the last letter."""
    return [word[at : at + 2] for at in range(len(word))]


def read(text: str, language: str = SIMPLE) -> list[Word]:
    """Return the words of a text in order."""
    cache: dict[str, tuple[Word, ...]] = {}
    words: list[Word] = []
    for token in TOKEN.findall(text):
        if token not in cache:
            cache[token] = _words(token, language)
        words += cache[token]
    return words


def locate(text: str, language: str = SIMPLE) -> Iterator[Token]:
    """Yield the words of a text with their positions."""
    for match in TOKEN.finditer(text):
        yield Token(match.start(), match.end(), known(match[0], language))


def _words(token: str, language: str) -> tuple[Word, ...]:
    """Return the words of a token."""
    pieces = [
        p if is_unspaced(p) else p[:MAX_LENGTH] for p in PIECE.findall(fold_for_search(token))
    ]
    if language == SIMPLE or len(pieces) != 1 or is_unspaced(pieces[0]):
        return tuple(Word(piece, piece) for piece in pieces)
    # The stemmer needs the accents. Longer words get no stem.
    if len(token) > MAX_LENGTH:
        return (Word(pieces[0], pieces[0]),)
    stem = _stemmer(language).stemWord(unicodedata.normalize("NFC", token).casefold())
    stems = PIECE.findall(fold_for_search(stem))
    return (Word(pieces[0], stems[0][:MAX_LENGTH] if len(stems) == 1 else pieces[0]),)


_cached_words = functools.lru_cache(20_000)(_words)


def known(token: str, language: str) -> tuple[Word, ...]:
    """Return the words of a token, from a cache for short tokens."""
    return (_cached_words if len(token) <= MAX_LENGTH else _words)(token, language)


def _stemmer(language: str) -> Stemmer.Stemmer:
    """Return this thread's stemmer; a stemmer must not be used by two threads at once."""
    stemmers: dict[str, Stemmer.Stemmer] = _local.__dict__
    if language not in stemmers:
        stemmers[language] = Stemmer.Stemmer(language, 0)
    return stemmers[language]
