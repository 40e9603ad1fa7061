"""The language of searches."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notes.search import terms, words
from notes.search.grammar import (
    MAX_QUERY_LENGTH,
    BrokenQuery,
    Edited,
    InCategory,
    Marked,
    Search,
    Tagged,
    Term,
    Words,
    parse,
)


def leaf(text):
    ((term,),) = parse(text).clauses
    assert term.is_wanted
    return term.leaf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("word", Words("word", is_prefix=True)),
        ('"two words"', Words("two words", is_exact=True)),
        ("title:word", Words("word", is_prefix=True, in_title=True)),
        ('title:"two words"', Words("two words", is_exact=True, in_title=True)),
        ("tag:x", Tagged("x")),
        ('Tag:"x y"', Tagged("x y")),
        ("in:A/b", InCategory("A/b")),
        ("in:/A//b/", InCategory("A/b")),
        ("is:Favorite", Marked("favorite")),
        ("has:file", Marked("file")),
        ("before:2026-02-28", Edited(dt.date(2026, 2, 28), is_before=True)),
        ("after:2026-02-28", Edited(dt.date(2026, 2, 28), is_before=False)),
        ("12:30", Words("12:30", is_prefix=True)),
        ('"http://x"', Words("http://x", is_exact=True)),
        ("or", Words("or", is_prefix=True)),
        ("OR", Words("OR", is_prefix=True)),
        ("& word -", Words("word")),
        ('"two words', Words("two words", is_prefix=True, is_exact=True)),
        ("“two words”", Words("two words", is_exact=True)),
        ("„zwei Worte“", Words("zwei Worte", is_exact=True)),
        ("«deux mots»", Words("deux mots", is_exact=True)),
        ("title:„zwei Worte“", Words("zwei Worte", is_exact=True, in_title=True)),
        ('27"', Words('27"', is_prefix=True)),
        ("https://x.org", Words("https://x.org", is_prefix=True)),
        ("TODO:", Words("TODO:", is_prefix=True)),
        ("tag: ", Words("tag:")),
        ("ORder", Words("ORder", is_prefix=True)),
    ],
)
def test_terms(text, expected):
    assert leaf(text) == expected


def test_what_has_no_word_is_no_term():
    for text in ("&", "- →", '""', "🇺🇳 !"):
        assert parse(text) == Search(())
    assert [each.text for each in parse('a & - b "" -- c').leaves()] == ["a", "b", "c"]


def test_or_without_a_term_on_a_side_is_a_word():
    for text, leaves in (
        ("OR a", ["OR", "a"]),
        ("a OR", ["a", "OR"]),
        ("a OR &", ["a", "OR"]),
        ("a OR OR b", ["a", "OR", "b"]),
    ):
        assert [each.text for each in parse(text).leaves()] == leaves


def test_or_binds_more_tightly_than_what_stands_side_by_side():
    a, b, c = (Term(Words(name)) for name in "abc")
    d = Term(Words("d", is_prefix=True), is_wanted=False)
    assert parse("a b OR c -d") == Search(((a,), (b, c), (d,)))
    assert parse("a OR b\tOR c -d") == Search(((a, b, c), (d,)))


def test_only_the_last_word_may_be_longer():
    assert [each.is_prefix for each in parse("a title:b c").leaves()] == [False, False, True]
    assert [each.is_prefix for each in parse("a b ").leaves()] == [False, False]
    assert [each.is_prefix for each in parse('a "b"').leaves()] == [False, False]


@given(st.text(max_size=MAX_QUERY_LENGTH + 1))
@settings(max_examples=500)
def test_any_text_is_a_query_or_says_where_it_is_not(text):
    refusal = None
    try:
        search = parse(text)
    except BrokenQuery as error:
        refusal = error
    if refusal:
        assert 0 <= refusal.members["position"] <= len(text)
        assert str(refusal).endswith(".")
        return
    for found in search.leaves():
        terms.condition(terms.about(search, owner=1), found, "english")
        if isinstance(found, Words):
            assert words.read(found.text)
            assert terms.needle(found, "german").text.strip()


PIECES = ["a", "OR", "-", '"', " ", "tag:", "in:", "is:favorite", "title:", "b c", "before:", ":"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=500)
def test_so_is_any_arrangement_of_its_parts(text):
    test_any_text_is_a_query_or_says_where_it_is_not.hypothesis.inner_test(text)


NAMES = st.text("abcäß東9", min_size=1, max_size=5)
LEAVES = st.one_of(
    st.builds(Words, NAMES, is_exact=st.just(value=True), in_title=st.booleans()),
    st.builds(Tagged, NAMES),
    st.builds(InCategory, NAMES),
    st.builds(Marked, st.sampled_from(["favorite", "archived", "trashed", "file"])),
    st.builds(Edited, st.dates(), is_before=st.booleans()),
)
CLAUSES = st.lists(st.builds(Term, LEAVES, is_wanted=st.booleans()), min_size=1, max_size=3)
SEARCHES = st.lists(CLAUSES.map(tuple), min_size=1, max_size=3).map(
    lambda clauses: Search(tuple(clauses))
)


def written(term):
    told = term.leaf
    match told:
        case Words():
            text = f'title:"{told.text}"' if told.in_title else f'"{told.text}"'
        case Tagged():
            text = f'tag:"{told.name}"'
        case InCategory():
            text = f"in:{told.category}"
        case Marked():
            text = f"{'has' if told.mark == 'file' else 'is'}:{told.mark}"
        case Edited():
            text = f"{'before' if told.is_before else 'after'}:{told.day.isoformat()}"
    return text if term.is_wanted else f"-{text}"


@given(SEARCHES)
def test_what_is_written_is_read(search):
    text = " ".join(" OR ".join(map(written, clause)) for clause in search.clauses)
    if len(text) <= MAX_QUERY_LENGTH:
        assert parse(text) == search
