"""Mark the words of a search in a note and cut out an excerpt. Pure functions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cloudnotes.characters import fold_for_search
from notes.search import words
from notes.search.grammar import Words
from notes.search.terms import is_open

MAX_EXCERPT = 160  # characters
BEFORE = 40  # characters of an excerpt before the best match
LOOKED_THROUGH = 50_000  # characters of a content
CONSIDERED = 60  # matches
STEM_ENDING = 2  # letters

Span = tuple[int, int]


class Excerpt(NamedTuple):
    """A part of a content that begins at ``start``; ``spans`` are the matches in it.

    All are in characters (Unicode code points); spans count from the beginning of the excerpt.
    """

    text: str
    start: int
    spans: list[Span]


@dataclass(frozen=True)
class Wanted:
    """The words to mark: a word matches if it is in one of these sets."""

    folded: frozenset[str]
    stems: frozenset[str]
    prefixes: tuple[str, ...]
    unspaced: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.folded or self.prefixes or self.unspaced)

    @cached_property
    def in_ascii(self) -> "re.Pattern[str]":
        """A pattern that finds words that may match, in lower-case ASCII, several times faster.

        A word and its stem are equal except for the last letters.
        """
        stems = (stem[: max(1, len(stem) - STEM_ENDING)] for stem in self.stems)
        heads = "|".join(map(re.escape, {*self.folded, *self.prefixes, *stems}))
        return re.compile(f"(?<![a-z0-9])(?:{heads or '(?!)'})[a-z0-9]*")


def wanted(leaves: Iterable[Words], language: str) -> Wanted:
    """Return the words to mark for the wanted words of a search."""
    folded, stems, prefixes, unspaced = set(), set(), [], []
    for leaf in leaves:
        leaf_words = words.read(leaf.text, language)
        for word in leaf_words:
            if words.is_unspaced(word.folded):
                unspaced.append(word.folded)
                continue
            folded.add(word.folded)
            if not leaf.is_exact and len(leaf_words) == 1 and language != words.SIMPLE:
                stems.add(word.stem)
        last = leaf_words[-1].folded
        if is_open(leaf, leaf_words) and not words.is_unspaced(last):
            prefixes.append(last)
    return Wanted(frozenset(folded), frozenset(stems), tuple(prefixes), tuple({*unspaced}))


def mark(text: str, targets: Wanted, language: str, *, at_most: int = CONSIDERED) -> list[Span]:
    """Return the spans of the words in a text, in characters; at most ``at_most``."""
    spans: list[Span] = []
    if targets.is_empty:
        return spans
    for token in _tokens(text, targets, language):
        if matches := [w for w in token.words if _matches(w, targets)]:
            spans += _spans(text, token, matches[0].folded, targets)
            if len(spans) >= at_most:
                break
    return spans[:at_most]


def _tokens(text: str, targets: Wanted, language: str) -> Iterator[words.Token]:
    """Yield the words of a text that may match."""
    if not text.isascii():
        yield from words.locate(text, language)
        return
    for match in targets.in_ascii.finditer(text.lower()):
        start, end = match.span()
        yield words.Token(start, end, words.known(match[0], language))


def _matches(word: words.Word, targets: Wanted) -> bool:
    if words.is_unspaced(word.folded):
        return any(part in word.folded for part in targets.unspaced)
    return (
        word.folded in targets.folded
        or word.stem in targets.stems
        or (bool(targets.prefixes) and word.folded.startswith(targets.prefixes))
    )


def _spans(text: str, token: words.Token, word: str, targets: Wanted) -> list[Span]:
    """Return the span of a word, or of the matching parts of a word of an unspaced script."""
    run = text[token.start : token.end]
    if not words.is_unspaced(word) or fold_for_search(run) != run:
        return [(token.start, token.end)]
    spans = []
    for part in targets.unspaced:
        at = run.find(part)
        while at >= 0:
            spans.append((token.start + at, token.start + at + len(part)))
            at = run.find(part, at + len(part))
    return sorted(spans)


def excerpt(content: str, targets: Wanted, language: str) -> Excerpt:
    """Return the part of a content with the most different words, or its beginning without a match.

    Only the first 50,000 characters are searched.
    """
    spans = mark(content[:LOOKED_THROUGH], targets, language)
    places = [(start, fold_for_search(content[start:end])) for start, end in spans]
    best = max(spans, key=lambda span: (_kinds(places, span[0]), -span[0]), default=(0, 0))
    start = max(0, best[0] - BEFORE)
    if start:
        # Start at the beginning of a word, if there is a blank.
        blank = content.find(" ", start, best[0])
        start = blank + 1 if blank >= 0 else start
    end = min(len(content), start + MAX_EXCERPT)
    if end < len(content):
        blank = content.rfind(" ", best[1], end)
        end = blank if blank > start + MAX_EXCERPT // 2 else end
    within = [(low - start, high - start) for low, high in spans if start <= low and high <= end]
    return Excerpt(content[start:end], start, within)


def _kinds(places: Sequence[tuple[int, str]], start: int) -> int:
    """Return the number of different words in an excerpt around this place."""
    end = start + MAX_EXCERPT - BEFORE
    return len({word for at, word in places if start <= at < end})
