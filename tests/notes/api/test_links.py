"""Links between notes: what they mean, and that a rename leaves them right."""

import pytest

from accounts.models import User
from notes.actions import indexing
from notes.actions import links as link_actions
from notes.models import IndexedNote, Link, Note, Renaming
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


def create(client, title="", content="", **fields):
    answer = client.post(NOTES, {"title": title, "content": content, **fields}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def patch(client, note, **fields):
    answer = client.patch(f"{NOTES}/{note}", fields, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def content(client, note):
    return client.get(f"{NOTES}/{note}").json()["content"]


def links(client, note):
    answer = client.get(f"{NOTES}/{note}/links")
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["pending"] == 0
    outgoing = [(link["text"], link["note"] and link["note"]["id"]) for link in told["outgoing"]]
    return outgoing, [note["id"] for note in told["incoming"]]


def test_what_links_where(as_alice, as_carol):
    plan = create(as_alice, "The Plan")
    other = create(as_alice, "Other")
    foreign = create(as_carol, "Secret")
    text = f"[[the plan]] [[Nobody]] [a](/api/v1/notes/{other}) [[Secret]] [b](/notes/{foreign})"
    source = create(as_alice, "Source", text)
    assert links(as_alice, source) == (
        [
            ("[[the plan]]", plan),
            ("[[Nobody]]", None),
            (f"(/api/v1/notes/{other})", other),
            ("[[Secret]]", None),
            (f"(/notes/{foreign})", None),
        ],
        [],
    )
    assert links(as_alice, plan) == links(as_alice, other) == ([], [source])
    assert links(as_carol, foreign) == ([], [])
    patch(as_alice, source, content="")
    assert links(as_alice, plan) == ([], [])
    as_alice.delete(f"{NOTES}/{plan}")
    assert as_alice.get(f"{NOTES}/{plan}/links").status_code == 404


def test_of_several_with_a_title_the_oldest_is_meant(as_alice):
    first, second = create(as_alice, "Twin"), create(as_alice, "TWIN")
    source = create(as_alice, "Source", "[[twin]]")
    assert links(as_alice, source)[0] == [("[[twin]]", first)]
    assert (links(as_alice, first)[1], links(as_alice, second)[1]) == ([source], [])
    patch(as_alice, second, title="Other")
    assert links(as_alice, source)[0] == [("[[twin]]", first)]
    patch(as_alice, second, title="Twin")
    as_alice.delete(f"{NOTES}/{first}")
    assert links(as_alice, source)[0] == [("[[twin]]", second)]
    assert links(as_alice, second)[1] == [source]


def test_a_rename_keeps_them_right(as_alice):
    plan = create(as_alice, "Plan", "[[Plan]] of its own")
    text = "[[plan]] and [[PLAN|that]], [[Plan#now]], `[[Plan]]`, [[Planet]]\n- ~~~\n  [[Plan]]"
    source = create(as_alice, "Source", text)
    links(as_alice, plan)
    before = as_alice.get(f"{NOTES}/{source}").json()["version"]
    patch(as_alice, plan, title="The Idea")
    assert links(as_alice, plan)[1] == [plan, source]
    assert content(as_alice, plan) == "[[The Idea]] of its own"
    assert content(as_alice, source) == (
        "[[The Idea]] and [[The Idea|that]], [[The Idea#now]], `[[Plan]]`, [[Planet]]"
        "\n- ~~~\n  [[Plan]]"
    )
    after = as_alice.get(f"{NOTES}/{source}").json()
    assert after["version"] == before + 1
    revision = as_alice.get(f"{NOTES}/{source}/revisions/{before}").json()
    assert revision["content"] == text
    feed = as_alice.get("/api/v1/sync").json()["changes"]
    assert {source, plan} <= {change["id"] for change in feed}
    assert not Renaming.objects.exists()


ODD = ["a|b", "[a]", "a`b", "a\u2028b", "\u200b\x85", "x" * 200, ""]


@pytest.mark.parametrize("title", ODD)
def test_a_title_that_cannot_be_written_is_linked_by_number(as_alice, title):
    plan = create(as_alice, "Plan")
    label = "that" * 30
    source = create(as_alice, "Source", f"[[Plan|{label}]] [[Plan]]")
    links(as_alice, plan)
    patch(as_alice, plan, title=title)
    assert links(as_alice, plan)[1] == [source]
    address = f"/api/v1/notes/{plan}"
    if len(title) < 200:
        assert content(as_alice, source) == f"[{label}]({address}) [Plan]({address})"
    else:
        assert content(as_alice, source) == f"[{label}]({address}) [[{title}]]"


@pytest.mark.parametrize("title", ["a#b", "C#", "a^b"])
def test_a_title_with_a_mark_is_linked_where_no_heading_follows(as_alice, title):
    plan = create(as_alice, "Plan")
    source = create(as_alice, "Source", "[[Plan]] [[Plan|x]] [[Plan#y]]")
    links(as_alice, plan)
    patch(as_alice, plan, title=title)
    assert [note for _, note in links(as_alice, source)[0]] == [plan] * 3
    assert links(as_alice, plan)[1] == [source]
    assert content(as_alice, source).endswith(f"[Plan](/api/v1/notes/{plan})")
    patch(as_alice, plan, title="Plan")
    assert [note for _, note in links(as_alice, source)[0]] == [plan] * 3
    assert content(as_alice, source).startswith("[[Plan]] [[Plan|x]] [")


def test_the_longest_title_that_a_note_has_is_meant(as_alice):
    plain = create(as_alice, "C")
    sharp = create(as_alice, "C#")
    source = create(as_alice, "Source", "[[C#]]")
    other = create(as_alice, "Other", "[[C#Loops]] [[C#|the language]]")
    assert links(as_alice, source)[0] == [("[[C#]]", sharp)]
    assert [note for _, note in links(as_alice, other)[0]] == [plain, sharp]
    assert (links(as_alice, plain)[1], links(as_alice, sharp)[1]) == ([other], [source, other])
    patch(as_alice, plain, title="C language")
    links(as_alice, plain)
    assert content(as_alice, source) == "[[C#]]"
    assert content(as_alice, other) == "[[C language#Loops]] [[C#|the language]]"
    patch(as_alice, plain, title="C")
    links(as_alice, plain)
    as_alice.delete(f"{NOTES}/{sharp}")
    assert links(as_alice, source)[0] == [("[[C#]]", plain)]
    assert links(as_alice, plain)[1] == [source, other]


def test_links_in_a_table(as_alice):
    plan = create(as_alice, "Plan")
    source = create(as_alice, "Source", "| [[Plan\\|the plan]] |\n|-|\n| b |")
    assert links(as_alice, plan)[1] == [source]
    patch(as_alice, plan, title="Idea")
    links(as_alice, plan)
    assert content(as_alice, source).startswith("| [[Idea\\|the plan]] |")


def test_a_note_of_another_host_is_no_link(as_alice, settings):
    settings.ALLOWED_HOSTS = ["*", ".example.org", "testserver"]
    settings.PUBLIC_BASE_URL = "https://notes.example.net"
    plan = create(as_alice, "Plan")
    roots = ("https://notes.example.org", "http://notes.example.net", "https://notes.example.net")
    roots = (*roots, "https://example.com", "https://[", "http://testserver:8000")
    text = " ".join(f"[x]({root}/api/v1/notes/{plan})" for root in roots)
    source = create(as_alice, "Source", text)
    meant = [text for text, _ in links(as_alice, source)[0]]
    assert meant == [f"({roots[n]}/api/v1/notes/{plan})" for n in (0, 2, 5)]
    elsewhere = create(as_alice, "Elsewhere", f"[x](https://example.com/notes/{plan})")
    assert links(as_alice, plan)[1] == [source]
    assert links(as_alice, elsewhere) == ([], [])


def test_a_rename_that_no_index_saw(as_alice):
    changes = [
        {"op": "create", "client_id": "plan", "title": "Plan"},
        {"op": "create", "client_id": "source", "title": "Source", "content": "[[Plan]]"},
        {"op": "update", "client_id": "plan", "base_version": 1, "title": "Plan 2026"},
    ]
    answer = as_alice.post("/api/v1/sync", {"changes": changes}, format="json").json()
    assert [each["status"] for each in answer["results"]] == ["applied"] * 3
    plan, source, _ = (each["id"] for each in answer["results"])
    assert links(as_alice, source)[0] == [("[[Plan 2026]]", plan)]
    assert not Renaming.objects.exists()


def test_a_link_between_two_renames(as_alice):
    plan = create(as_alice, "A")
    links(as_alice, plan)
    patch(as_alice, plan, title="B")
    source = create(as_alice, "Source", "[[B]] [[A]]")
    patch(as_alice, plan, title="C")
    assert links(as_alice, source)[0] == [("[[C]]", plan), ("[[C]]", plan)]


def test_a_rename_waits_for_the_links_that_were_written_before_it(as_alice, alice):
    plan = create(as_alice, "A")
    links(as_alice, plan)
    source = create(as_alice, "Source", "[[A]]")
    patch(as_alice, plan, title="B")
    link_actions.follow_renames(owner=alice, until=float("inf"))  # before the index has the source
    assert Renaming.objects.count() == 1
    assert links(as_alice, source)[0] == [("[[B]]", plan)]


def test_what_an_earlier_release_left_is_followed(as_alice, alice):
    plan, source = create(as_alice, "A"), create(as_alice, "Source", "[[A]]")
    links(as_alice, plan)
    key = IndexedNote.objects.get(pk=plan).title_key
    patch(as_alice, plan, title="B")
    Renaming.objects.all().delete()
    while indexing._index_some(alice):
        pass
    IndexedNote.objects.filter(pk=plan).update(renamed_from=key)
    assert links(as_alice, source)[0] == [("[[B]]", plan)]
    assert not IndexedNote.objects.exclude(renamed_from=None).exists()


def test_a_title_that_means_an_older_note_is_linked_by_number(as_alice):
    first, second = create(as_alice, "Z"), create(as_alice, "A")
    source = create(as_alice, "Source", "[[A]] [[Z]]")
    links(as_alice, source)
    patch(as_alice, second, title="Z")
    address = f"/api/v1/notes/{second}"
    assert links(as_alice, source)[0] == [(f"({address})", second), ("[[Z]]", first)]


@pytest.mark.parametrize("titles", ["BC", "BA", "CA"])
def test_two_renames_at_once_are_told_apart(as_alice, titles):
    first, second = create(as_alice, "A"), create(as_alice, "B")
    source = create(as_alice, "Source", "[[A]] [[B]]")
    links(as_alice, source)
    patch(as_alice, first, title=titles[0])
    patch(as_alice, second, title=titles[1])
    assert [note for _, note in links(as_alice, source)[0]] == [first, second]
    assert as_alice.get(f"{NOTES}/{source}").json()["version"] == 2


def test_trashed_notes_neither_mean_nor_miss_anything(as_alice):
    gone, plan = create(as_alice, "A"), create(as_alice, "A")
    source, kept = create(as_alice, "S", "[[A]]"), create(as_alice, "T", "[[A]]")
    for note in (gone, source):
        as_alice.delete(f"{NOTES}/{note}")
    links(as_alice, plan)
    patch(as_alice, plan, title="B")
    assert links(as_alice, plan)[1] == [kept]
    as_alice.post(f"{NOTES}/{source}/restore")
    assert links(as_alice, plan)[1] == [source, kept]
    assert content(as_alice, source) == "[[B]]"


def test_a_rename_during_the_rename(as_alice, alice, monkeypatch):
    plan, source = create(as_alice, "A"), create(as_alice, "Source", "[[A]]")
    links(as_alice, plan)
    patch(as_alice, plan, title="B")
    retitle, begun = link_actions._retitle, []

    def slow(*arguments, **named):
        if not begun:
            patch(as_alice, plan, title="C")
        retitle(*arguments, **named)
        if not begun:
            begun.append(content(as_alice, source))
            monkeypatch.setattr(indexing, "INDEX_BATCH_SIZE", 1)
            indexing._index_some(alice)  # the rename alone

    monkeypatch.setattr(link_actions, "_retitle", slow)
    while indexing._index_some(alice):
        pass
    for _ in range(2):
        link_actions.follow_renames(owner=alice, until=float("inf"))
    assert begun == ["[[B]]"]
    assert links(as_alice, source)[0] == [("[[C]]", plan)]
    assert not Renaming.objects.exists()


def test_many_links_take_their_time(as_alice, monkeypatch):
    plan = create(as_alice, "A")
    sources = [create(as_alice, f"S {n}", "[[A]]") for n in range(5)]
    links(as_alice, plan)
    patch(as_alice, plan, title="B")
    ticks = iter(range(1000))
    with monkeypatch.context() as patched:
        patched.setattr(link_actions.time, "monotonic", lambda: next(ticks) / 4)
        as_alice.get(f"{NOTES}/{plan}/links")
    written = [content(as_alice, source) for source in sources]
    assert {"[[A]]", "[[B]]"} == {*written}
    assert links(as_alice, plan)[1] == sources


def test_several_renames_before_anybody_looks(as_alice):
    plan = create(as_alice, "A")
    source = create(as_alice, "Source", "[[A]]")
    links(as_alice, plan)
    patch(as_alice, plan, title="B")
    patch(as_alice, plan, title="C")
    assert links(as_alice, source)[0] == [("[[C]]", plan)]
    patch(as_alice, plan, title="D")
    patch(as_alice, plan, title="C")
    assert links(as_alice, source)[0] == [("[[C]]", plan)]


def test_a_second_rename_before_the_links_have_followed(as_alice, alice):
    plan, source = create(as_alice, "A"), create(as_alice, "Source", "[[A]]")
    links(as_alice, plan)
    for title in ("B", "C"):
        patch(as_alice, plan, title=title)
        while indexing._index_some(alice):
            pass
    assert links(as_alice, source)[0] == [("[[C]]", plan)]


def test_the_worker_follows_too_and_once(as_alice, alice):
    plan = create(as_alice, "A")
    sources = [create(as_alice, f"Source {n}", "[[A]]") for n in range(5)]
    while indexing.index_due():
        pass
    as_alice.put(f"{NOTES}/{plan}/title", {"title": "B"}, format="json")
    while indexing.index_due():
        pass
    assert [content(as_alice, source) for source in sources] == ["[[B]]"] * 5
    versions = list(Note.objects.order_by("pk").values_list("version", flat=True))
    assert versions == [2] * 6
    while indexing.index_due():
        pass
    assert list(Note.objects.order_by("pk").values_list("version", flat=True)) == versions
    assert not indexing.is_behind(User.objects.get(pk=alice.pk))


def test_they_survive_that_the_index_is_made_anew(as_alice):
    plan, source = create(as_alice, "Plan"), create(as_alice, "Source", "[[Plan]] [a](/notes/1)")
    links(as_alice, plan)
    for language in ("german", "simple"):
        as_alice.patch("/api/v1/auth/me", {"language": language}, format="json")
        assert links(as_alice, plan) == ([], [source])
        assert Link.objects.count() == 2
    as_alice.delete(f"{NOTES}/{source}?permanent=true")
    assert links(as_alice, plan) == ([], [])
    assert not Link.objects.exists()


def test_a_note_that_would_be_too_long_keeps_its_link(as_alice):
    plan = create(as_alice, "A")
    source = create(as_alice, "Source", "[[A]]" + "x" * (2**20 - 5))
    links(as_alice, plan)
    patch(as_alice, plan, title="Longer")
    assert links(as_alice, plan) == ([], [])
    assert content(as_alice, source).startswith("[[A]]")


def test_a_token_of_a_category_writes_no_further(as_alice):
    plan = create(as_alice, "Plan", category="Work")
    inside = create(as_alice, "Inside", "[[Plan]]", category="Work")
    outside = create(as_alice, "Outside", "[[Plan]]", category="Home")
    links(as_alice, plan)
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:write"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token['token']}")
    patch(limited, plan, title="Injected")
    assert links(limited, plan)[1] == [inside]
    assert content(as_alice, outside) == "[[Plan]]"
    assert content(as_alice, inside) == "[[Injected]]"


def test_a_token_of_a_category_sees_no_further(as_alice):
    inside = create(as_alice, "Inside", "[[Outside]] [[Beside]]", category="Work")
    beside = create(as_alice, "Beside", category="Work")
    create(as_alice, "Outside", "[[Inside]]", category="Home")
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:write"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()["token"]
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert links(limited, inside) == ([("[[Outside]]", None), ("[[Beside]]", beside)], [])
    assert links(limited, beside) == ([], [inside])
    assert len(links(as_alice, inside)[1]) == 1


def test_queries(as_alice, django_assert_num_queries):
    plan = create(as_alice, "Plan")
    source = create(as_alice, "Source", "[[Plan]] [[Source]]" * 20)
    links(as_alice, source)
    # Who asks; the note; is there news; the note again; whether its own title means it; what links
    # to it; of what it links to, whom the titles mean and what those are called.
    for note, number in ((plan, 6), (source, 8)):
        with django_assert_num_queries(number):
            links(as_alice, note)
