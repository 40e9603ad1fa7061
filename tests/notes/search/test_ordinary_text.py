"""Any title is a query, and letters are found as people type them."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes.models import Note
from notes.search import finding, terms
from tests.lengths import length
from tests.notes.search.searching import create, found, search

pytestmark = pytest.mark.django_db
# Titles and beginnings of titles that somebody searches for as they stand.
ORDINARY = [
    "Rock & Roll",
    "Obsidian - my notes",
    "Müller & Söhne GmbH",
    "→ next",
    "🇺🇳",
    '27" monitor',
    'צה"ל',
    "rock -",
    '"two wo',
    "https://example.org/a?b=c",
    "C:\\Users\\me",
    "std::x",
    "TODO: milk",
    "foo from:bob",
    "this OR",
    "OR that",
    "a OR OR b",
    "tag: me",
    "is: this",
    'say "never',
    "++",
    "-",
    "-5 °C",
    "a -b c",
    "before: dawn",
    "„Zitat“ und «mot»",
    "don’t",
    "x ''",
    '""',
    "in:memory",
    'tag:x "y"',
    "#!?",
    "٣ أيام",
]


@pytest.mark.parametrize("is_fast", [True, False])
def test_ordinary_text_finds_the_note_of_that_title_first(as_alice, settings, fast_path, is_fast):
    settings.FAST_PATH = is_fast
    ids = {title: create(as_alice, title) for title in ORDINARY}
    for title in ORDINARY:
        create(as_alice, f"{title} and more", title)
        create(as_alice, "other", f"{title} {title}")
    for title, pk in ids.items():
        assert search(as_alice, title)["results"][0]["id"] == pk, title


def test_titles_that_differ_by_signs_alone(as_alice):
    ids = {title: create(as_alice, title) for title in ("C++", "C", "C#", "(c)")}
    for title, pk in ids.items():
        page = search(as_alice, title)["results"]
        assert (page[0]["id"], len(page)) == (pk, 4), title


TITLES = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from([*'"“”„«»-:&', "OR", "two words", "-x", "x:y", "İstanbul", "Łódź", "東京"]),
    ),
    min_size=1,
    max_size=6,
).map(" ".join)


def is_storable(title):
    has_operator = re.search(r"\b(tag|in|is|has|before|after|title):\S", title, re.IGNORECASE)
    return title.strip() and not has_operator and not re.search("[\0\ud800-\udfff]", title)


@settings(
    max_examples=length(short=60, full=2000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(titles=st.lists(TITLES.filter(is_storable), min_size=1, max_size=4))
def test_any_title_is_a_query_that_finds_its_note_first(as_alice, titles):
    Note.objects.all().delete()
    for title in titles:
        create(as_alice, title[:200], "text")
    for title in titles:
        title = title[:200]
        first = search(as_alice, title)["results"][0]
        assert terms.title_key(first["title"]) == terms.title_key(title)


@pytest.mark.parametrize("broad_from", [2, 500])
def test_notes_of_the_title_come_first_page_by_page(as_alice, monkeypatch, broad_from):
    monkeypatch.setattr(finding, "RANKED", broad_from)
    called = [create(as_alice, title) for title in ("Daily", "daily", "DAILY")]
    others = [create(as_alice, f"Daily {n}", "daily daily") for n in range(3)]
    ids, cursor = [], ""
    while cursor is not None:
        page = search(as_alice, "daily", limit=2, **({"cursor": cursor} if cursor else {}))
        ids, cursor = ids + [note["id"] for note in page["results"]], page["next"]
    assert {*ids[:3]} == {*called}
    assert sorted(ids) == called + others


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Łódź", "lodz"),
        ("ISPARTA", "ısparta"),
        ("ısparta", "isparta"),
        ("İstanbul", "istanbul"),
        ("Ærø", "aero"),
        ("cœur", "coeur"),
        ("Þór", "thor"),
        ("Đorđe", "dorde"),
        ("Guðmundur", "gudmundur"),
        ("Donau\u00addampf", "donaudampf"),
        ("foo\u200bbar", "foobar"),
        ("foo\u2060bar", '"foobar"'),
        ("می\u200cخواهم", "میخواهم"),
        ("donaudampf", "Donau\u00addampf"),
    ],
)
def test_letters_and_what_does_not_part_words(as_alice, text, query):
    by_title, by_text = create(as_alice, text), create(as_alice, "x", f"a {text} b")
    assert found(as_alice, query) == [by_title, by_text]
    (mark,) = search(as_alice, query)["results"][1]["highlights"]["excerpt"]
    assert mark == [2, 2 + len(text)]
