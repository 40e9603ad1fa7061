"""``GET search``: what is found, how it is shown, and what is refused."""

import datetime as dt
import io
import unicodedata

import pytest

from accounts.models import User
from notes.actions import indexing
from notes.models import IndexedNote, Note, SearchIndex
from notes.search import finding, words
from tests.conftest import PASSWORD, client_of
from tests.notes.search.searching import SEARCH, create, found, search

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


def test_words(as_alice):
    first = create(as_alice, "Shopping", "milk and bread")
    second = create(as_alice, "Recipe", "Bread: flour, water")
    assert found(as_alice, "milk") == [first]
    assert set(found(as_alice, "bread")) == {first, second}
    assert found(as_alice, "bread milk") == [first]
    assert found(as_alice, "BREAD flour") == [second]
    assert found(as_alice, "rec") == [second]
    assert found(as_alice, "rec bread") == []
    assert found(as_alice, "bread -milk") == [second]
    assert set(found(as_alice, "milk OR flour")) == {first, second}
    assert found(as_alice, '"and bread"') == [first]
    assert found(as_alice, '"bread and"') == []
    assert found(as_alice, '-"and bread" bread') == [second]


def test_where_the_words_are(as_alice):
    title = create(as_alice, "Holiday in Rome")
    tag = create(as_alice, "a", "b", tags=["Rome trip"])
    body = create(as_alice, "b", "all ways lead to Rome, they say, all of them")
    assert found(as_alice, "rome") == [title, tag, body]
    assert found(as_alice, "title:rome") == [title]
    assert found(as_alice, 'title:"in rome"') == [title]
    assert found(as_alice, 'title:"rome in"') == []
    assert set(found(as_alice, "-title:rome")) == {tag, body}
    assert found(as_alice, '-title:"in rome" rome') == [tag, body]


def test_names_of_files(as_alice):
    note = create(as_alice, "a")
    other = create(as_alice, "b")
    sent = {"file": io.BytesIO(b"%PDF-1.4 x")}
    sent["file"].name = "Rechnung_März.pdf"
    answer = as_alice.put(f"{NOTES}/{note}/file", sent, format="multipart")
    assert answer.status_code in (200, 201), answer.content
    assert found(as_alice, "rechnung") == found(as_alice, "has:file") == [note]
    assert found(as_alice, "marz") == [note]
    assert found(as_alice, "-has:file") == [other]
    assert as_alice.delete(f"{NOTES}/{note}/file").status_code == 204
    assert found(as_alice, "rechnung") == []


def test_operators(as_alice):
    day = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    work = create(as_alice, "one", category="Work/Plans", tags=["Two Words"], is_favorite=True)
    home = create(as_alice, "two", category="Home", tags=["x"], is_archived=True)
    none = create(as_alice, "three")
    assert found(as_alice, "in:work") == found(as_alice, "in:Work/Plans") == [work]
    assert found(as_alice, "in:plans") == found(as_alice, "in:wor") == []
    assert set(found(as_alice, "-in:work")) == {home, none}
    assert found(as_alice, 'tag:"two words"') == found(as_alice, 'TAG:"TWO WORDS"') == [work]
    assert found(as_alice, "tag:two") == []
    assert found(as_alice, "is:favorite") == [work]
    assert found(as_alice, "is:archived") == [home]
    assert set(found(as_alice, "is:archived OR in:work")) == {work, home}
    Note.objects.filter(pk=work).update(updated_at=day)
    as_alice.patch(f"{NOTES}/{work}", {"is_favorite": False}, format="json")
    assert found(as_alice, "after:2026-03-01 before:2026-03-02") == [work]
    assert set(found(as_alice, "after:2026-03-02")) == {home, none}
    assert set(found(as_alice, "before:2026-03-02 OR three")) == {work, none}
    assert found(as_alice, "-after:2026-03-02 one") == [work]
    assert found(as_alice, "before:2026-03-01") == found(as_alice, "is:favorite") == []


def test_the_trash(as_alice):
    kept, gone = create(as_alice, "word one"), create(as_alice, "word two")
    as_alice.delete(f"{NOTES}/{gone}")
    assert found(as_alice, "word") == [kept]
    page = search(as_alice, "is:trashed word")["results"]
    assert [note["id"] for note in page] == [gone]
    assert page[0]["trashed_at"]
    assert set(found(as_alice, "is:trashed OR one")) == {kept, gone}
    as_alice.post(f"{NOTES}/{gone}/restore")
    assert set(found(as_alice, "word")) == {kept, gone}
    as_alice.delete(f"{NOTES}/{gone}?permanent=true")
    assert found(as_alice, "word") == [kept]
    assert found(as_alice, "is:trashed word") == []
    assert IndexedNote.objects.count() == 1


def test_every_write_is_found_at_once(as_alice):
    note = create(as_alice, "t", "before")
    assert found(as_alice, "before") == [note]
    as_alice.patch(f"{NOTES}/{note}", {"content": "afterwards"}, format="json")
    assert found(as_alice, "before") == []
    assert found(as_alice, "afterwards") == [note]
    as_alice.patch(f"{NOTES}/{note}", {"tags": ["red"], "category": "A"}, format="json")
    assert found(as_alice, "in:a tag:red") == [note]
    as_alice.patch("/api/v1/tags/red", {"name": "blue"}, format="json")
    assert found(as_alice, "tag:blue blue -red") == [note]
    as_alice.patch("/api/v1/categories/A", {"category": "B"}, format="json")
    assert found(as_alice, "in:b") == [note]
    bulk = {"op": "archive", "ids": [note]}
    as_alice.post(f"{NOTES}/bulk", bulk, format="json")
    assert found(as_alice, "is:archived") == [note]
    sync = {"changes": [{"op": "create", "client_id": "c", "title": "synced"}]}
    answer = as_alice.post("/api/v1/sync", sync, format="json")
    assert answer.status_code == 200, answer.content
    assert len(found(as_alice, "synced")) == 1


@pytest.mark.parametrize(
    ("text", "queries", "others"),
    [
        ("Café Ångström", ["cafe", "CAFÉ", "angstrom", "cafe\u0301"], ["caffe"]),
        ("Straße nach Nürnberg", ["strasse", "STRASSE", "nurnberg"], ["nuernberg"]),
        ("Ёлка и йод", ["елка", "йод", "иод"], ["ёж"]),
        ("我们今天去东京都吃饭", ["东京", "东京都", "京", "吃", "今天去东京"], ["京东", "都东"]),
        ("東京タワーへ行く", ["タワー", "東京タワー", "行く", "ﾀﾜｰ"], ["ワタ"]),
        ("오늘은 서울에서", ["서울", "울에", "오늘"], ["부산"]),
        ("วันนี้ไปตลาด", ["ตลาด", "วันนี้", "ไปตลาด"], ["ตลก"]),
        ("2024年計画", ["2024年", "計画", "年計画", "2024"], ["2023年"]),
        ("e-mail to bob@example.org", ["e-mail", "email OR e-mail", "bob@example.org"], ["mail-e"]),
        ("snake_case and don't", ["snake_case", "snake", "case", "don't"], ["snake_and"]),
        ("Party 🎉 today", ["🎉", "party 🎉"], ["🎈"]),
        ("हिन्दी में", ["हिन्दी"], ["हिनदी"]),
        ("oﬃce №Ⅷ", ["office", "viii"], ["ix"]),
    ],
)
def test_writing(as_alice, text, queries, others):
    create(as_alice, "another", "something else")
    note = create(as_alice, "", text)
    for query in queries:
        assert found(as_alice, query) == [note], query
    for query in others:
        assert found(as_alice, query) == [], query


@pytest.mark.parametrize(
    ("language", "text", "queries", "others"),
    [
        (
            "english",
            "The dogs were running happily",
            ["dog", "run", "happily"],
            ['"dog"', "happen"],
        ),
        ("german", "Die Häuser am Wald", ["haus", "häusern", "hauser"], ['"haus"']),
        ("french", "Les écoles françaises", ["école", "ecole", "française"], ['"école"']),
        ("russian", "Читаю книгу о городах", ["книги", "город", "книгами"], ['"город"']),
    ],
)
def test_word_forms(as_alice, language, text, queries, others):
    note = create(as_alice, "", text)
    assert found(as_alice, queries[0] + " ") == []  # as they are written, until a language is said
    answer = as_alice.patch("/api/v1/auth/me", {"language": language}, format="json")
    assert answer.json()["language"] == language
    for query in queries:
        assert found(as_alice, query) == [note], query
    for query in others:
        assert found(as_alice, query) == [], query
    first = text.split()[1]
    assert found(as_alice, f'"{first}"') == [note]
    as_alice.patch("/api/v1/auth/me", {"language": "simple"}, format="json")
    assert found(as_alice, queries[0] + " ") == []
    answer = as_alice.patch("/api/v1/auth/me", {"language": "klingon"}, format="json")
    assert answer.status_code == 400


def test_what_is_shown(as_alice):
    filler = "lorem ipsum " * 50
    note = create(as_alice, "The Whale", f"{filler}\nCall me Ishmael. {filler}")
    (told,) = search(as_alice, "ishmael whale")["results"]
    whole = as_alice.get(f"{NOTES}/{note}").json()
    content = whole.pop("content")
    marks = told.pop("highlights")
    excerpt, start = told.pop("excerpt"), told.pop("excerpt_start")
    assert told == whole
    assert content[start : start + len(excerpt)] == excerpt
    assert len(excerpt) <= 160
    assert [excerpt[low:high] for low, high in marks["excerpt"]] == ["Ishmael"]
    assert [told["title"][low:high] for low, high in marks["title"]] == ["Whale"]


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        ("Running, RUNS and run", "run", ["Running", "RUNS", "run"]),
        ("Rom, Romulus, Aroma", "rom", ["Rom", "Romulus"]),
        ("Rom, Romulus", "rom is:favorite", ["Rom"]),
        ("Rom, Romulus", '"rom"', ["Rom"]),
        ("去东京都吃东京饭", "东京", ["东京", "东京"]),
        ("Äpfel 🎉 ÄPFEL", "apfel 🎉", ["Äpfel", "🎉", "ÄPFEL"]),
        ("not this", "-foo", []),
    ],
)
def test_highlights(as_alice, text, query, shown):
    as_alice.patch("/api/v1/auth/me", {"language": "english"}, format="json")
    create(as_alice, "", text, is_favorite=True)
    (told,) = search(as_alice, query)["results"]
    excerpt = told["excerpt"]
    assert [excerpt[low:high] for low, high in told["highlights"]["excerpt"]] == shown


@pytest.mark.parametrize(
    ("q", "position", "says"),
    [
        ("", 0, "look for"),
        ("  ", 2, "look for"),
        ("is:green", 3, "is:favorite"),
        ("has:wings", 4, "has:file"),
        ("before:yesterday", 7, "before:2026-01-31"),
        ("after:2026-02-30", 6, "after:2026-01-31"),
        ('foo tag:"" bar', 8, "missing"),
        ("title:++", 6, "no word"),
        ("in://", 3, "category"),
        ('in:""', 3, "missing"),
        ("x" * 201, 200, "at most 200"),
    ],
)
def test_a_broken_query(as_alice, q, position, says):
    answer = as_alice.get(SEARCH, {"q": q})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "broken_query"), problem
    assert problem["position"] == position
    assert says in problem["detail"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "q"),
        ({"q": "a", "query": "b"}, "query"),
        ({"q": "a", "limit": 0}, "limit"),
        ({"q": "a", "limit": 201}, "limit"),
        ({"q": "a", "limit": 10**30}, "limit"),
        ({"q": "a", "cursor": "x"}, "cursor"),
    ],
)
def test_parameters(as_alice, parameters, field):
    answer = as_alice.get(SEARCH, parameters)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("ranked", [500, 5])
def test_pages(as_alice, as_carol, monkeypatch, ranked):
    monkeypatch.setattr(finding, "RANKED", ranked)
    plain = [create(as_alice, f"t{n}", "word and phrase") for n in range(12)]
    titled = [create(as_alice, f"word {n}", "nothing") for n in range(8)]
    create(as_carol, "word", "word and phrase")
    for query, expected in (("word", {*plain, *titled}), ('"word and phrase"', {*plain})):
        for limit in (1, 3, 19, 20, 50):
            seen, cursor = [], ""
            while True:
                page = search(
                    as_alice, query, limit=limit, **({"cursor": cursor} if cursor else {})
                )
                assert len(page["results"]) <= limit
                seen += [note["id"] for note in page["results"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert len(seen) == len(expected)
            assert set(seen) == expected
            assert query != "word" or set(seen[:8]) == set(titled)
    cursor = search(as_alice, "word", limit=3)["next"]
    for client, query in ((as_carol, "word"), (as_alice, "words")):
        answer = client.get(SEARCH, {"q": query, "limit": 3, "cursor": cursor})
        assert answer.json()["errors"][0]["code"] == "invalid_cursor"


def test_a_broad_search_walks_past_what_the_terms_cannot_tell(as_alice, monkeypatch):
    monkeypatch.setattr(finding, "RANKED", 2)
    monkeypatch.setattr(finding, "STEP_OF_TEXTS", 3)
    monkeypatch.setattr(finding, "STEPS", 4)
    first = create(as_alice, "", "one two")
    for _ in range(20):
        create(as_alice, "", "two one")
    pages, cursor = [], None
    while not pages or cursor:
        page = search(as_alice, '"one two"', limit=2, **({"cursor": cursor} if cursor else {}))
        pages.append([note["id"] for note in page["results"]])
        cursor = page["next"]
    assert pages[0] == []
    assert [note for page in pages for note in page] == [first]


def test_nobody_finds_what_is_not_theirs(as_alice, as_carol, client):
    note = create(as_alice, "secret", "word", tags=["t"], category="Work")
    other = create(as_alice, "secret", "word", tags=["t"], category="Home")
    for query in ("secret", "word", "tag:t", "in:work", "-foo", "is:trashed OR secret", '"secret"'):
        assert found(as_carol, query) == []
    assert client.get(SEARCH, {"q": "secret"}).status_code == 401
    create_token = {
        "name": "n",
        "scopes": ["notes:read"],
        "category": "Work",
        "password": PASSWORD,
    }
    answer = as_alice.post("/api/v1/auth/tokens", create_token, format="json")
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    for query in ("secret", "word", "tag:t", "-foo", "in:home OR secret", '"secret"'):
        assert found(limited, query) == [note]
    assert found(limited, "in:home") == []
    assert set(found(as_alice, "secret")) == {note, other}


def test_a_token_needs_the_scope_to_read(as_alice):
    sent = {"name": "n", "scopes": ["notes:append"], "password": PASSWORD}
    answer = as_alice.post("/api/v1/auth/tokens", sent, format="json")
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    assert client.get(SEARCH, {"q": "a"}).status_code == 403


def test_what_is_not_indexed_yet_is_told(as_alice, alice, monkeypatch):
    monkeypatch.setattr(indexing, "INDEX_BATCH_SIZE", 2)
    notes = [create(as_alice, "word") for _ in range(7)]
    monkeypatch.setattr(indexing.time, "monotonic", iter(range(1000)).__next__)
    pending = [search(as_alice, "word")["pending"] for _ in range(5)]
    assert pending[0] in (5, 7)
    assert pending == sorted(pending, reverse=True)
    while indexing.index_due():
        pass
    assert SearchIndex.objects.get(pk=alice.pk).seq == 7
    assert set(found(as_alice, "word")) == {*notes}


def test_a_state_that_a_search_has_given_stays_in_the_history(as_alice):
    note = create(as_alice, "first")
    assert found(as_alice, "first") == [note]
    assert Note.objects.get(pk=note).state_given


def test_a_text_of_more_words_than_the_database_takes(as_alice):
    content = " ".join(f"{n:x}" for n in range(170_000))
    assert len(content.encode()) < 2**20
    note = create(as_alice, "numbers", content)
    assert found(as_alice, "numbers ffff 1abc") == [note]
    unspaced = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(300_000))
    note = create(as_alice, "han", unspaced)
    assert found(as_alice, f"han {unspaced[100:110]}") == [note]


def test_a_page_goes_on_where_it_ended_whatever_is_written_meanwhile(as_alice):
    notes = {create(as_alice, "", "word") for _ in range(9)}
    page = search(as_alice, "word", limit=4)
    create(as_alice, "", "word other")
    seen = [note["id"] for note in page["results"]]
    while page["next"]:
        page = search(as_alice, "word", limit=4, cursor=page["next"])
        seen += [note["id"] for note in page["results"]]
    assert len(seen) == len({*seen})
    assert notes <= {*seen}


HOSTILE = [
    "a" + "\u0316\u0301" * 200_000,
    "x" * 2**20,
    "\u0e01" * 300_000,
    "\u0f77" * 300_000,
    "\ufdfa" * 300_000,
    "é " * 300_000,
    "a" * 59 + "\u0301 ",
]


@pytest.mark.parametrize("language", ["simple", "russian"])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_texts_of_the_largest_size(as_alice, language, number):
    text = HOSTILE[number]
    text = (text * (2**20 // len(text.encode()) + 1)).encode()[: 2**20].decode(errors="ignore")
    as_alice.patch("/api/v1/auth/me", {"language": language}, format="json")
    note = create(as_alice, "odd", text)
    assert found(as_alice, "odd") == [note]
    answer = as_alice.get(SEARCH, {"q": "odd " + text[:150]})
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("language", User.Language.values)
def test_any_character_can_be_written_and_asked_for(as_alice, language):
    as_alice.patch("/api/v1/auth/me", {"language": language}, format="json")
    kept = [chr(n) for n in range(0x20, 0x3400) if unicodedata.category(chr(n))[0] in "LNMSP"]
    for start in range(0, len(kept), 1000):
        create(as_alice, "odd", " ".join(kept[start : start + 1000]))
    assert len(found(as_alice, "odd")) == -(-len(kept) // 1000)
    for character in ["⑴", "⅟", "ŀ", "ͺ", "\\", "'", "⁄", "№", "％", "＇", "：", "＊", "﹨"]:
        for query in (character, f"a{character}b", f'"{character}"', f"tag:{character}"):
            answer = as_alice.get(SEARCH, {"q": query})
            assert answer.status_code in (200, 400), (query, answer.content)


def test_every_language_of_accounts_has_words():
    for language in User.Language.values:
        assert words.read("notes", language)


def test_queries(as_alice, settings, django_assert_num_queries):
    create(as_alice, "word")
    found(as_alice, "word")
    with django_assert_num_queries(3):  # who asks; what matches and is all indexed; the page
        found(as_alice, "word")
    settings.FAST_PATH = False
    with django_assert_num_queries(5):  # whether all is indexed is asked first, and if it is broad
        found(as_alice, "word")
