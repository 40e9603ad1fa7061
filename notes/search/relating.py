"""Find the notes that are related to a note. Nothing is written.

Notes are related by shared tags and by shared rare words: the most typical words of a note that few
other notes have.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import CharField, Value

from accounts.callers import Caller
from notes.models import IndexedNote
from notes.models.searches import IndexedNoteQuerySet
from notes.search import finding, terms, words
from notes.search.terms import Notes

ASKED = 24  # words of a note
FEWEST_LETTERS = 4
IN_TITLE = 3  # times as much as in the content
COMMON = 50  # a word that more notes have does not count
TAG = 2.0  # what a shared tag counts at least


@dataclass
class Related:
    """A note and the words that it shares with the other; the rarest words count most."""

    note_id: int
    score: float = 0.0
    words: list[str] = field(default_factory=list)


def relate(*, note_id: int, tags: Sequence[str], caller: Caller, at_most: int) -> list[Related]:
    """Return the notes most related to a note with these tags, among those that a user may see."""
    indexed = IndexedNote.objects.visible_to(caller)
    text = indexed.filter(pk=note_id).values_list("words", flat=True).first()
    if text is None:
        return []
    notes = Notes(caller.pk, with_trash=False)
    conditions = {f"t{tag}": notes.have(terms.tag(tag)) for tag in tags}
    conditions |= {f"w{word}": notes.have(terms.word(word)) for word in _telling(text)}
    ids_by_condition = _having(
        indexed.exclude(pk=note_id), {k: finding.to_sql(v) for k, v in conditions.items()}
    )
    related: dict[int, Related] = {}
    for name, ids in sorted(ids_by_condition.items(), key=lambda each: len(each[1])):
        is_tag, value = name[0] == "t", name[1:]
        if len(ids) > COMMON and not is_tag:
            continue
        worth = math.log((COMMON + 1) / min(COMMON, len(ids))) + TAG * is_tag
        for pk in ids:
            one = related.setdefault(pk, Related(pk))
            one.score += worth
            if not is_tag:
                one.words.append(value)
    # For equal scores, the newer note first.
    best = sorted(related.values(), key=lambda one: (one.score, one.note_id), reverse=True)
    return best[:at_most]


def _telling(text: str) -> list[str]:
    """Return the most typical words of a prepared text: in the title, frequent and long."""
    title, _, _, content = text.split("\n")
    counts = Counter(_long(content))
    for word in _long(title):
        counts[word] += IN_TITLE
    order = sorted(counts, key=lambda word: (counts[word] * len(word), word), reverse=True)
    return order[:ASKED]


def _long(line: str) -> list[str]:
    return [
        word for word in line.split() if len(word) >= FEWEST_LETTERS and not words.is_unspaced(word)
    ]


def _having(indexed: IndexedNoteQuerySet, conditions: dict[str, str]) -> dict[str, list[int]]:
    """Return by condition the ids of notes for which it holds, at most ``COMMON + 1`` of each."""
    parts = []
    for name, condition in conditions.items():
        note_ids = indexed.filter(terms__matches=condition).values("pk")[: COMMON + 1]
        rows = IndexedNote.objects.filter(pk__in=note_ids)
        parts.append(rows.values_list(Value(name, CharField()), "pk"))
    ids_by_condition: dict[str, list[int]] = {}
    if parts:
        for name, pk in parts[0].union(*parts[1:], all=True):
            ids_by_condition.setdefault(name, []).append(pk)
    return ids_by_condition
