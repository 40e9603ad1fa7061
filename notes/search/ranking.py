"""Rank the notes that a search finds. Pure functions.

BM25 over the parts of a note (Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25
and Beyond*, 2009, 3.6: BM25F). The statistics are those of the found notes, not of all notes: a
word that is frequent in the found notes counts little.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from notes.search.terms import Needle

# Title, tags, name of the file, content.
WEIGHTS = (8.0, 4.0, 3.0, 1.0)
SATURATION, LENGTH = 1.2, 0.6  # k1 and b
IN_TITLE = 1.0  # for each word that the title has too
WHOLE_TITLE = 2.0  # for a title that has no other words
TOGETHER = (2.0, 1.0, 1.0, 0.7)  # for words that follow each other in a part, as in the query
CALLED = 1_000_000.0  # for the title that is the query; more than all else together
PRECISION = 1_000_000


class Candidate(NamedTuple):
    """A note that was found, with its prepared text or the beginning of it."""

    note_id: int
    words: str
    stems: str
    title_key: str


def scores(
    candidates: Sequence[Candidate], needles: Sequence[Needle], title_key: str
) -> dict[int, int]:
    """Return the score of each candidate, in millionths, by the id of its note.

    ``title_key`` is that of the whole query.
    """
    if not candidates:
        return {}
    counts = {each.note_id: _counts(each, needles) for each in candidates}
    lengths = {each.note_id: len(each.words) for each in candidates}
    average = sum(lengths.values()) / len(lengths)
    total = sum(lengths.values())
    rarity = []
    for number in range(len(needles)):
        often = sum(sum(note_counts[number]) for note_counts in counts.values())
        rarity.append(math.log(1 + total / (1 + often)))
    run = " ".join(needle.text.strip() for needle in needles if not needle.in_title)
    return {
        each.note_id: round(
            PRECISION
            * (
                _words(counts[each.note_id], rarity, lengths[each.note_id] / average)
                + _title(each, counts[each.note_id], rarity)
                + (_together(each, run, rarity) if len(needles) > 1 else 0)
                + (CALLED if each.title_key == title_key else 0)
            )
        )
        for each in candidates
    }


def _counts(candidate: Candidate, needles: Sequence[Needle]) -> list[list[int]]:
    """Return for every needle how often each part of the note has it."""
    lines, stems = candidate.words.split("\n"), candidate.stems.split("\n")
    all_counts = []
    for needle in needles:
        counts = [line.count(needle.text) for line in lines]
        if needle.stem and candidate.stems:
            forms = (line.count(needle.stem) for line in stems)
            counts = [max(pair) for pair in zip(counts, forms, strict=False)]
        all_counts.append(counts[:1] if needle.in_title else counts)
    return all_counts


def _words(counts: Sequence[Sequence[int]], rarity: Sequence[float], length: float) -> float:
    score = 0.0
    for part_counts, rare in zip(counts, rarity, strict=True):
        weighted = sum(weight * count for weight, count in zip(WEIGHTS, part_counts, strict=False))
        score += rare * weighted / (weighted + SATURATION * (1 - LENGTH + LENGTH * length))
    return score


def _title(candidate: Candidate, counts: Sequence[Sequence[int]], rarity: Sequence[float]) -> float:
    """Return the bonus for words in the title; it rises with their share of the title."""
    in_title = [rare for count, rare in zip(counts, rarity, strict=True) if count[0]]
    if not in_title:
        return 0.0
    length = len(candidate.words.partition("\n")[0].split())
    coverage = min(1.0, len(in_title) / max(1, length))
    return IN_TITLE * sum(in_title) + WHOLE_TITLE * coverage * max(in_title)


def _together(candidate: Candidate, run: str, rarity: Sequence[float]) -> float:
    parts = zip(TOGETHER, candidate.words.split("\n"), strict=False)
    weights = [weight for weight, line in parts if f" {run}" in line]
    return max(weights) * max(rarity) if weights else 0.0
