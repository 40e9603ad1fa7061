"""What a search finds is what matches, as told by a few lines that read every note."""

import random

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.callers import Caller
from accounts.models import User
from notes.actions import indexing
from notes.actions import notes as note_actions
from notes.models import Note
from notes.search import finding, grammar, words
from notes.search.grammar import InCategory, Marked, Tagged, Words

pytestmark = pytest.mark.django_db
VOCABULARY = ["red", "reds", "green", "greener", "Blau", "blaue", "東京", "東京都", "京都", "don't"]
TAGS, CATEGORIES = ["red", "x y"], ["", "A", "A/B"]


def drawn_text(chosen, most):
    separators = [" ", ", ", "-", "\n"]
    parts = [chosen.choice(VOCABULARY) for _ in range(chosen.randint(0, most))]
    return "".join(part + chosen.choice(separators) for part in parts)


@pytest.fixture
def drawn(alice):
    chosen, now = random.Random(6), timezone.now()
    for number in range(60):
        note = note_actions.create_note(
            title=drawn_text(chosen, 3),
            content=drawn_text(chosen, 8),
            category=chosen.choice(CATEGORIES),
            tags="\n".join(chosen.sample(TAGS, chosen.randint(0, 2))),
            flags={"is_favorite": chosen.random() < 0.5},
            by=Caller(alice),
            now=now,
        )
        if number % 7 == 0:
            note_actions.trash_note(note=note, by=Caller(alice), now=now)
    return list(Note.objects.order_by("pk"))


VALUES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=2).map(" ".join)
LEAVES = st.one_of(
    st.sampled_from(VOCABULARY),
    st.sampled_from(["re", "gr", "bl", "都"]),
    VALUES.map('"{}"'.format),
    VALUES.map('title:"{}"'.format),
    st.sampled_from(VOCABULARY).map("title:{}".format),
    st.sampled_from(TAGS).map('tag:"{}"'.format),
    st.sampled_from(["in:a", "in:A/B", "is:favorite", "is:trashed", "has:file"]),
    st.sampled_from(["before:2000-01-01", "after:2000-01-01"]),
)
TERMS = st.builds("{}{}".format, st.sampled_from(["", "", "-"]), LEAVES)
CLAUSES = st.lists(TERMS, min_size=1, max_size=3).map(" OR ".join)
QUERIES = st.lists(CLAUSES, min_size=1, max_size=3).map(" ".join)


def matches(note, query, language):
    search = grammar.parse(query)
    if note.trashed_at and not search.with_trash:
        return False
    return all(
        any(holds(note, term.leaf, language) == term.is_wanted for term in clause)
        for clause in search.clauses
    )


def holds(note, leaf, language):
    match leaf:
        case Words():
            parts = [note.title, note.tags.replace("\n", ", "), note.content]
            return any(
                follows(words.read(part, language), leaf, language)
                for part in (parts[:1] if leaf.in_title else parts)
            )
        case Tagged():
            return leaf.name in note.tags.split("\n")
        case InCategory():
            return f"{note.category}/".lower().startswith(f"{leaf.category}/".lower())
        case Marked():
            return {
                "favorite": note.is_favorite,
                "trashed": note.trashed_at is not None,
                "file": False,
            }[leaf.mark]
        case _:
            return not leaf.is_before


def follows(text, leaf, language):
    """Return whether the words of a leaf follow each other in a text."""
    wanted = words.read(leaf.text, language)
    return any(
        all(is_word(text[at + n], word, leaf, wanted, n) for n, word in enumerate(wanted))
        for at in range(len(text) - len(wanted) + 1)
    )


def is_word(word, wanted, leaf, all_wanted, number):
    is_first, is_last = number == 0, number == len(all_wanted) - 1
    if words.is_unspaced(wanted.folded):
        if not words.is_unspaced(word.folded):
            return False
        if is_first and is_last:
            return wanted.folded in word.folded
        if is_first:
            return word.folded.endswith(wanted.folded)
        if is_last:
            return word.folded.startswith(wanted.folded)
        return word.folded == wanted.folded
    if (
        is_last
        and leaf.is_prefix
        and len(wanted.folded) > 1
        and word.folded.startswith(wanted.folded)
    ):
        return True
    if word.folded == wanted.folded:
        return True
    return not leaf.is_exact and len(all_wanted) == 1 and word.stem == wanted.stem


@pytest.mark.parametrize("ranked", [500, 3])
@pytest.mark.parametrize("language", User.Language.values)
def test_it(alice, drawn, monkeypatch, language, ranked):
    monkeypatch.setattr(finding, "RANKED", ranked)
    if ranked == 3:
        monkeypatch.setattr(finding, "STEP", 4)
        monkeypatch.setattr(finding, "STEP_OF_TEXTS", 4)
    alice.language = language
    alice.save(update_fields=["language"])
    assert indexing.catch_up(caller=Caller(alice), seconds=60) == 0

    @given(QUERIES.filter(lambda query: len(query) <= grammar.MAX_QUERY_LENGTH))
    @settings(max_examples=60)
    def ask(query):
        plan = finding.plan(grammar.parse(query), owner=alice.pk, language=language)
        ids, place = [], None
        while not ids or place:
            page = finding.find(plan, caller=Caller(alice), after=place, limit=7)
            ids += page.ids
            place = page.end
            if place is None:
                break
        expected = [note.pk for note in drawn if matches(note, query, language)]
        assert sorted(ids) == expected, query

    ask()
